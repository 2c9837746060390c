"""The naming page's components and events (Gradio); what it shows and changes is a Naming.

All tabs show one state; a tab looks every two seconds whether another has changed it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from . import html
from .naming import MOST_PARTS, Naming
from .whole_folder import whole_folder

SPARE = 16
"""Rows kept for the parts of splits: Gradio makes its rows before it shows them."""
LOOK_EVERY = 2.0
"""Seconds between two looks for what other tabs did."""

HEAD = """<script>
document.addEventListener("input", (event) => {
  const box = event.target.closest("[id^=name-]");
  if (box) window.sgseg_typed = box.id;
}, true);
</script>"""
ENTERED = "(tab, name) => { window.sgseg_typed = null; return [tab, name] }"
LEFT = """(tab, name) => {{
  const typed = window.sgseg_typed === "name-{slot}";
  window.sgseg_typed = null;
  return [tab, typed ? name : null];
}}"""
"""A box that is left gives its name only if somebody typed in it: an undo may be on its way."""


class Tab(NamedTuple):
    """What one tab shows, and of which state."""

    keys: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    revision: int = -1
    split_revision: int = -1
    picture: int = -1
    """The image that stands there."""
    image: int = 0
    """The image that is wanted."""
    chosen: str | None = None
    only: bool = False
    opacity: float = 0.6


class Page:
    """The page.

    Args:
        naming: the state, shared by all tabs.
        names_file: where names are saved.
        folder: for what is handed to the browser.
    """

    def __init__(self, naming: Naming, names_file: Path, folder: Path) -> None:
        import gradio

        self.gr = gradio
        self.naming, self.names_file, self.folder = naming, names_file, folder
        self.first = len(naming.keys)
        self.slots = self.first + SPARE

    def blocks(self) -> Any:
        """The page for Gradio to serve."""
        gr = self.gr
        with gr.Blocks(title="sgseg: name clusters", analytics_enabled=False) as blocks:
            self.tab, self.seen = gr.State(Tab()), gr.State(self.naming.revision)
            gr.HTML(html.introduction(self.naming, self.names_file))
            with gr.Row(elem_id="bar"):
                self.save = gr.Button("Save names", elem_id="save", variant="primary", scale=0)
                self.undo = gr.Button("Undo", elem_id="undo", scale=0)
                self.status = gr.HTML("", elem_id="status")
            with gr.Row():
                with gr.Column(scale=5):
                    self._add_clusters()
                with gr.Column(scale=6, elem_id="images"):
                    self._add_images()
                    self._add_actions()
            self._connect(blocks, gr.Timer(LOOK_EVERY))
        return blocks

    def _add_clusters(self) -> None:
        gr = self.gr
        self.groups, self.heads, self.boxes, self.crops, self.finds = [], [], [], [], []
        for slot in range(self.slots):
            shown = slot < self.first
            with gr.Group(visible=shown, elem_id=f"cluster-{slot}") as group:
                with gr.Row():
                    self.heads.append(gr.HTML(elem_id=f"head-{slot}", elem_classes="head"))
                    plain = dict(show_label=False, container=False, max_lines=1)
                    self.boxes.append(gr.Textbox(elem_id=f"name-{slot}", **plain))
                    small = dict(size="sm", scale=0, min_width=80)
                    find = gr.Button("Choose", elem_id=f"choose-{slot}", **small)
                    self.finds.append(find)
                self.crops.append(gr.HTML(elem_id=f"crops-{slot}"))
            self.groups.append(group)

    def _add_images(self) -> None:
        gr = self.gr
        choices = [(image.path.name, n) for n, image in enumerate(self.naming.images)]
        with gr.Row(equal_height=True):
            self.back = gr.Button("Previous", elem_id="back", size="sm", scale=0)
            self.image = gr.Dropdown(choices, value=0, show_label=False, container=False)
            self.forth = gr.Button("Next", elem_id="forth", size="sm", scale=0)
        with gr.Row():
            plain = dict(format="png", interactive=False, buttons=["fullscreen"])
            self.left = gr.Image(label="Image", elem_id="left", **plain)
            self.right = gr.Image(label="Map", elem_id="right", **plain)
        self.found = gr.HTML(elem_id="found")
        with gr.Row(equal_height=True):
            self.only = gr.Checkbox(label="Show the chosen cluster alone", elem_id="only")
            self.opacity = gr.Slider(0, 1, 0.6, step=0.1, label="Strength of the colours")

    def _add_actions(self) -> None:
        gr = self.gr
        with gr.Row(equal_height=True):
            self.parts = gr.Slider(2, MOST_PARTS, 2, step=1, label="Parts")
            self.split = gr.Button("Split the chosen cluster", elem_id="split")
        count = self.naming.total
        label = f"Make maps and areas of all {count} images" if count > 1 else "Make map and areas"
        self.make = gr.Button(label, elem_id="make")
        self.files = gr.File(label="To download", elem_id="files", visible=False, interactive=False)

    def _connect(self, blocks: Any, timer: Any) -> None:
        shown = [self.tab, self.status, self.save, self.left, self.right, self.found, self.image]
        self.shown = [*shown, *self.groups, *self.heads, *self.boxes, *self.crops]
        # One at a time over all tabs, for they share one state.
        alone = dict(concurrency_id="page", concurrency_limit=1)
        quiet = dict(alone, outputs=self.shown, show_progress="hidden")
        blocks.load(lambda: self.show(Tab(), ""), [], **quiet)
        timer.tick(lambda: self.naming.revision, [], [self.seen], show_progress="hidden")
        self.seen.change(self.look, [self.tab], **quiet)
        for slot, (box, find) in enumerate(zip(self.boxes, self.finds, strict=True)):
            box.submit(self._renaming(slot), [self.tab, box], js=ENTERED, **quiet)
            box.blur(self._renaming(slot), [self.tab, box], js=LEFT.format(slot=slot), **quiet)
            find.click(self._choosing(slot), [self.tab], **quiet)
        self.save.click(self.saved, [self.tab], **quiet)
        self.undo.click(self.undone, [self.tab], **quiet)
        self.back.click(lambda tab: self.turned(tab, tab.image - 1), [self.tab], **quiet)
        self.forth.click(lambda tab: self.turned(tab, tab.image + 1), [self.tab], **quiet)
        self.image.input(self.turned, [self.tab, self.image], **quiet)
        self.only.input(self.drawn, [self.tab, self.only, self.opacity], **quiet)
        self.opacity.release(self.drawn, [self.tab, self.only, self.opacity], **quiet)
        self._connect_what_gradio_tells(alone, quiet)

    def _connect_what_gradio_tells(self, alone: dict[str, Any], quiet: dict[str, Any]) -> None:
        """Events whose functions are told more than values, which their annotations ask for."""
        gr = self.gr

        def clicked(tab: Tab, event: gr.SelectData) -> list[Any]:  # type: ignore[name-defined]
            x, y = event.index[:2]
            return self.clicked(tab, int(x), int(y))

        def split(tab: Tab, parts: float, progress: Any = gr.Progress()) -> list[Any]:  # noqa: B008
            return self.was_split(tab, int(parts), progress.tqdm)

        def make(progress: Any = gr.Progress()) -> list[Any]:  # noqa: B008
            return self.made(progress.tqdm)

        for picture in (self.left, self.right):
            picture.select(clicked, [self.tab], **quiet)
        told = dict(alone, show_progress="full", show_progress_on=[self.status])
        self.split.click(split, [self.tab, self.parts], self.shown, **told)
        self.make.click(make, [], [self.status, self.files], **told)

    def look(self, tab: Tab) -> list[Any]:
        """Show what another tab has changed, if anything."""
        if tab.revision == self.naming.revision:
            return [self.gr.skip()] * len(self.shown)
        return self.show(tab, html.said("Changed in another tab; this one shows it now."))

    def _renaming(self, slot: int) -> Callable[[Tab, str | None], list[Any]]:
        def renamed(tab: Tab, name: str | None) -> list[Any]:
            if name is None or slot >= len(tab.keys) or name == tab.names[slot]:
                return [self.gr.skip()] * len(self.shown)
            return self.do(tab, lambda: self._rename(tab.keys[slot], name))

        return renamed

    def _rename(self, key: str, name: str) -> str:
        name = self.naming.rename(key, name)
        joined = next(row.joined for row in self.naming.rows() if row.key == key)
        with_them = f", one class with {', '.join(joined)}" if joined else ""
        return f"Cluster {key} is {name}{with_them}."

    def _choosing(self, slot: int) -> Callable[[Tab], list[Any]]:
        return lambda tab: self.show(tab._replace(chosen=tab.keys[slot]), "")

    def clicked(self, tab: Tab, x: int, y: int) -> list[Any]:
        """Choose the cluster of a pixel."""
        key = self.naming.cluster_at(tab.image, x, y)
        if key is None:
            return self.show(tab, html.said("There is no data at that pixel."))
        return self.show(tab._replace(chosen=key), "")

    def saved(self, tab: Tab) -> list[Any]:
        """Write the names."""

        def save() -> str:
            self.naming.save(self.names_file)
            return f"Saved. Give it to sgseg predict: --names {self.names_file}"

        return self.do(tab, save)

    def undone(self, tab: Tab) -> list[Any]:
        """Take the last change back."""

        def undo() -> str:
            self.naming.undo()
            return "Undone."

        return self.do(tab, undo)

    def turned(self, tab: Tab, image: int) -> list[Any]:
        """Show another image."""
        return self.show(tab._replace(image=image % len(self.naming.images)), "")

    def drawn(self, tab: Tab, only: bool, opacity: float) -> list[Any]:
        """Draw the map otherwise."""
        return self.show(tab._replace(only=only, opacity=opacity), "")

    def was_split(self, tab: Tab, parts: int, watch: Any) -> list[Any]:
        """Split the chosen cluster."""
        key = tab.chosen

        def split() -> str:
            if key is None:
                raise ValueError("Choose a cluster first: click on an image or on a row.")
            if len(self.naming.keys) + parts - 1 > self.slots:
                raise ValueError("No room for more rows: save the names, and start the page anew.")
            made = self.naming.split(key, parts, watch)
            return f"Cluster {key} is now {', '.join(made)}."

        return self.do(tab, split)

    def made(self, watch: Any) -> list[Any]:
        """Write maps of the whole folder, and hand them over."""
        try:
            files, sentence = whole_folder(self.naming, self.folder, watch)
        except (ValueError, OSError) as error:
            return [html.bad(str(error)), self.gr.skip()]
        paths = [str(path) for path in files]
        return [html.said(sentence), self.gr.update(value=paths, visible=True)]

    def do(self, tab: Tab, change: Callable[[], str]) -> list[Any]:
        """Change the state and show it, or say why not."""
        try:
            status = html.said(change())
        except (ValueError, OSError) as error:
            # What was typed goes: the box shows the name that stands.
            return self.show(tab._replace(names=()), html.bad(str(error)))
        return self.show(tab, status)

    def show(self, tab: Tab, status: str) -> list[Any]:
        """What has to change on a tab so that it shows the state."""
        naming, skip = self.naming, self.gr.skip()
        rows = naming.rows()
        chosen = next((row for row in rows if row.key == tab.chosen), None)
        key = None if chosen is None else chosen.key
        new = tab._replace(
            keys=tuple(row.key for row in rows),
            names=tuple(row.name for row in rows),
            heads=tuple(html.head(row, row.key == key) for row in rows),
            revision=naming.revision,
            split_revision=naming.split_revision,
            picture=tab.image,
            chosen=key,
        )
        turned = tab.picture != tab.image
        left = naming.images[tab.image].picture if turned else skip
        right = naming.map(tab.image, tab.opacity, key if tab.only else None)
        save = self.gr.update(variant="primary" if naming.unsaved else "secondary")
        place = tab.image if turned else skip
        first = [new, status, save, left, right, html.found(chosen), place]
        return first + self._row_updates(tab, new)

    def _row_updates(self, tab: Tab, new: Tab) -> list[Any]:
        skip, crops = self.gr.skip(), self.naming.crops
        before, count = len(tab.keys) or self.first, len(new.keys)
        groups = [
            self.gr.update(visible=slot < count) if (slot < before) != (slot < count) else skip
            for slot in range(self.slots)
        ]
        none = [skip] * (self.slots - count)
        heads = _differences(tab.heads, new.heads, skip)
        boxes = _differences(tab.names, new.names, skip)
        anew = tab.split_revision != new.split_revision
        pictures = [html.crops(crops(key)) if anew else skip for key in new.keys]
        return [*groups, *heads, *none, *boxes, *none, *pictures, *none]


def _differences(before: tuple[str, ...], after: tuple[str, ...], skip: Any) -> list[Any]:
    """Those of ``after`` that stand elsewhere or nowhere in ``before``."""
    return [
        skip if before[place : place + 1] == (value,) else value
        for place, value in enumerate(after)
    ]
