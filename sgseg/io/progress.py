"""Progress bars on the error stream, and how many workers there may be."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _Speed(ProgressColumn):
    """Images per second since the start of this call."""

    def render(self, task: Task) -> Text:
        done = task.completed - task.fields["before"]
        return Text(f"{done / task.elapsed if task.elapsed else 0:.0f} images/s")


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on the error stream, with images/s and the time left.

    Yields:
        A function to call with (images done, all images); what the first call names was done
        before and does not count as speed.
    """
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), _Speed())
    left = (TimeRemainingColumn(elapsed_when_finished=True),)
    with Progress(*columns, *left, console=Console(stderr=True), speed_estimate_period=60) as bar:

        def tell(done: int, total: int) -> None:
            if bar.task_ids:
                bar.update(bar.task_ids[0], completed=done)
            else:
                bar.add_task(title, total=total, completed=done, before=done)

        yield tell


def usable_cores() -> int:
    """Cores that this process may use; a container's limit counts."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
