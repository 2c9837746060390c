"""Lists and URIs are other ways to name the same images."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from sgseg.inference import BadImagesError, Prediction, Segmenter
from sgseg.inference.batches import Batch, BatchWriter, Written
from sgseg.inference.outputs import output_names
from sgseg.inference.sources import image_name, images_of
from sgseg.io.remote import RemoteFile
from tests.conftest import ROOT
from tests.inference.models import save, small_config, small_model
from tests.inference.test_outputs import LABELS_ONLY, NAMES, contents, draw

fsspec = pytest.importorskip("fsspec")
FILES = ("a/1.png", "a/b/2.png", "c/1.png")


@pytest.fixture(scope="module", name="segmenter")
def segmenter_fixture(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    """A small model at the images' own size."""
    path = save(small_model(small_config()), tmp_path_factory.mktemp("model") / "a.pth", NAMES)
    return Segmenter(path, small_config(), side=0)


def predicted(segmenter: Segmenter, source: object, out: Path) -> dict[str, bytes]:
    """Label maps and tables of a source, two images at once."""
    list(Prediction(segmenter, str(source), out, 2, LABELS_ONLY))
    return {name: content for name, content in contents(out).items() if name[0] not in ".m"}


def test_a_folder_its_uri_and_lists_of_it(segmenter: Segmenter, tmp_path: Path) -> None:
    """The same files, whatever way the images are named."""
    folder = draw(tmp_path / "in", *FILES)
    uri = stored(folder, "tiles")
    paths, uris = tmp_path / "in/paths.txt", tmp_path / "uris.txt"
    paths.write_text("# tiles\n" + "\n".join([*FILES[:2], "", str(folder / FILES[2])]))
    uris.write_text("\n".join(f"{uri}/{file}" for file in FILES))
    expected = predicted(segmenter, folder, tmp_path / "out")
    assert set(expected) == {*(f"labels/{f}" for f in FILES), "areas.csv", "classes.json"}
    for number, source in enumerate((paths, uri, uris, f"file://{folder}")):
        assert predicted(segmenter, source, tmp_path / f"out{number}") == expected
    single = predicted(segmenter, f"{uri}/a/b/2.png", tmp_path / "single")
    assert single["labels/2.png"] == expected["labels/a/b/2.png"]


def test_what_a_store_holds_beside_images(tmp_path: Path) -> None:
    """Of images/ alone if it is there; neither hidden nor other files."""
    folder = draw(tmp_path / "in", "a.png", ".b.png", ".hidden/c.png")
    (folder / "readme.md").write_text("none")
    found = images_of(stored(folder, "beside") + "/", tmp_path)
    assert [image_name(place, found.root) for place in found.places] == ["a.png"]
    draw(folder / "images", "d.png")
    found = images_of(stored(folder, "beside"), tmp_path)
    assert [image_name(place, found.root) for place in found.places] == ["images/d.png"]


def test_what_changes_or_is_bad_in_a_store(segmenter: Segmenter, tmp_path: Path) -> None:
    """Done again, and listed by its URI; what is there is not fetched twice."""
    folder = draw(tmp_path / "in", "a.png", "b.png")
    uri, out = stored(folder, "changes"), tmp_path / "out"
    predicted(segmenter, uri, out)
    cv2.imwrite(str(folder / "b.png"), np.zeros((24, 48, 3), np.uint8))
    memory = fsspec.filesystem("memory")
    memory.put_file(str(folder / "b.png"), "/changes/b.png")
    memory.pipe("/changes/c.png", b"none")
    prediction = Prediction(segmenter, uri, out, 2, LABELS_ONLY)
    assert [str(place) for place in prediction.missing] == [f"{uri}/b.png", f"{uri}/c.png"]
    with pytest.raises(BadImagesError) as faults:
        assert [done.image for done in prediction] == ["b.png"]
    (fault,) = faults.value.faults.values()
    assert fault.startswith(f"{uri}/c.png: ") and "/sgseg_" not in fault
    gone = RemoteFile(f"{uri}/no.png", 1)
    with pytest.raises(ValueError, match=r"no\.png: was not fetched"):
        gone.copied_to(tmp_path)


def test_sources_that_are_none(segmenter: Segmenter, tmp_path: Path) -> None:
    """A sentence for each: what was given, what is wanted."""
    folder = draw(tmp_path / "in", "a.png")
    listed = tmp_path / "in/list.txt"
    for text, kind, said in (
        ("", FileNotFoundError, "lists nothing; wanted is a path or URI a line"),
        ("a.png\nb.png\nc.png", FileNotFoundError, "lists b.png, and 1 more: no such file"),
        ("a.png\n./a.png", ValueError, "names .*a.png 2 times; each image once"),
        ("a.png\nmemory://a.png", ValueError, "has 1 URIs and other paths"),
        ("memory://none/b.png", FileNotFoundError, "nothing is there"),
        ("../in", ValueError, "lists ../in, a folder; list its images"),
        ("../out/a.png", ValueError, "lists ../out/a.png, which lies in .*give another --out"),
    ):
        listed.write_text(text)
        with pytest.raises(kind, match=said):
            images_of(listed, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="nothing is there"):
        images_of("memory://none", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="no image in it; looked for .jpg"):
        images_of(stored(save_text(tmp_path / "texts/a.md").parent, "texts"), tmp_path / "out")
    with pytest.raises(ValueError, match="is a chain of URIs"):
        images_of("zip://a.png::file:///a.zip", tmp_path / "out")
    with pytest.raises(ValueError, match=r"leads out of the folder"):
        output_names(["a/../../b.png"])
    with pytest.raises(ValueError, match="Protocol not known: nothere; s3://"):
        images_of("nothere://bucket/tiles", tmp_path / "out")
    if importlib.util.find_spec("s3fs") is None:
        with pytest.raises(ModuleNotFoundError, match="s3://bucket/tiles: Install s3fs"):
            images_of("s3://bucket/tiles", tmp_path / "out")
    with pytest.raises(ValueError, match="--out s3://bucket/maps: a folder of a disk"):
        Prediction(segmenter, folder, "s3://bucket/maps")


def test_a_list_that_shares_no_folder(tmp_path: Path) -> None:
    """Its images are named below the root, and written nowhere but in OUT."""
    folder = draw(tmp_path / "in", "a.png")
    listed = tmp_path / "list.txt"
    listed.write_text(f"{folder}/a.png\n{ROOT}/sgseg/py.typed")
    found = images_of(listed, tmp_path / "out")
    assert found.root == Path(os.path.commonpath([folder, ROOT]))
    names = output_names(image_name(place, found.root) for place in found.places)
    assert not any(name.startswith(("/", "..")) for name in names.values())
    assert set(output_names(["x.png", "/x.png"]).values()) == {"x", "x.png"}


def stored(folder: Path, name: str) -> str:
    """A folder in the store in memory; its URI as the store spells it."""
    store = fsspec.filesystem("memory")
    store.put(f"{folder}/", f"/{name}/", recursive=True)
    return f"memory:///{name}"


def save_text(path: Path) -> Path:
    """A file that is no image."""
    path.parent.mkdir(parents=True)
    path.write_text("none")
    return path


def test_what_changes_while_it_is_read_is_done_again(segmenter: Segmenter, tmp_path: Path) -> None:
    """The record holds the state from before the reading."""
    folder, out = draw(tmp_path / "in", "a.png", "b.png"), tmp_path / "out"

    def disturbed(writer: BatchWriter, batches: Iterable[Batch]) -> Iterator[Written]:
        for batch in batches:
            given = list(writer(batch))
            cv2.imwrite(str(folder / "b.png"), np.zeros((24, 48, 3), np.uint8))
            yield from given

    list(Prediction(segmenter, folder, out, 2, LABELS_ONLY, engine=disturbed))
    missing = Prediction(segmenter, folder, out, 2, LABELS_ONLY).missing
    assert [str(place) for place in missing] == [str(folder / "b.png")]
