"""Name the clusters of a model in a browser: look, name, join, split, save names.json.

Example:
    sgseg name work_dirs/run my_photos
    sgseg predict work_dirs/run/epoch_12.pth my_photos --names work_dirs/run/names.json --out maps
"""

import argparse
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .arguments import add_shared, with_plain_warnings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``sgseg name``."""
    add = parser.add_argument
    add("model", metavar="RUN", help="work dir of a training, or a checkpoint")
    add("folder", metavar="FOLDER", help="images, or one image")
    add("--images", type=int, default=200, help="look at so many, taken evenly; default 200")
    add("--names", metavar="FILE", help="to save to and go on with; default names.json in RUN")
    add("--side", type=int, help="shorter side to segment at; 0: as the image is")
    add_shared(parser, "--evaluation", "--value-range")
    add("--device", help="cpu or cuda; default a GPU if there is one")
    add("--port", type=int, help="of 127.0.0.1; default the first free one from 7860 on")
    add("--no-browser", action="store_true", help="do not open the browser")


@with_plain_warnings
def run(args: argparse.Namespace) -> None:
    """Segment a sample of the images, then serve the page until it is interrupted."""
    import importlib.util
    import webbrowser

    from rich.console import Console
    from rich.progress import track

    if importlib.util.find_spec("gradio") is None:
        raise SystemExit("sgseg name: the page needs Gradio; install it: pip install 'sgseg[app]'")
    from ..app import Naming
    from ..app.server import listening_socket, serve
    from ..engine.checkpoints.newest import checkpoint_of
    from ..inference import Segmenter

    sock = listening_socket(args.port)  # a taken port is said before the images are looked at
    checkpoint = checkpoint_of(args.model)
    names = Path(args.names) if args.names else checkpoint.parent / "names.json"
    table = names if names.is_file() else None
    given = dict(evaluation=args.evaluation, value_range=args.value_range)
    segmenter = Segmenter(checkpoint, device=args.device, side=args.side, **given)

    def watch(paths: Sequence[Any]) -> Iterable[Any]:
        return track(paths, "Looking at images", console=Console(stderr=True))

    naming = Naming(segmenter, args.folder, args.images, table, watch)
    if table:
        print(f"{names}: goes on with these names")
    for fault in naming.faults.values():
        print(f"Left out: {fault}")
    print(f"{len(naming.images)} of {naming.total} images are on the page")

    def opened(address: str) -> None:
        print(f"The page: {address} (on this machine alone; Ctrl-C ends it)", flush=True)
        if not args.no_browser:
            webbrowser.open(address)

    def end(*_: Any) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)  # so that the names are kept, as after Ctrl-C
    try:
        serve(naming, names, sock, opened)
    except KeyboardInterrupt:  # how the page is ended
        print("The page is closed.")
    finally:
        if naming.unsaved:
            taken = (names.with_suffix(f".unsaved{n or ''}.json") for n in range(1000))
            kept = next(path for path in taken if not path.exists())
            naming.save(kept)
            print(f"The last changes were not saved; they are kept in {kept}")
