"""What a run shows on the console: its progress and its warnings; the whole log goes to a file."""

from __future__ import annotations

import logging
import warnings
from logging.handlers import MemoryHandler
from typing import Any
from uuid import uuid4

from mmengine.dist import is_main_process
from mmengine.logging import MMLogger
from mmengine.logging.logger import FilterDuplicateWarning
from rich.console import Console

_OF_MMENGINE_ALONE = ('"FileClient" will be deprecated', '"HardDiskBackend" is the alias')
"""Warnings about mmengine's own calls, of which nobody who uses it can do anything."""
_OF_TORCH_ALONE = r"torch\.distributed\.nn\.functional\.all_reduce is deprecated"
"""Said of a call of ours, each step, on every process of a run of several."""
_AFTER_A_RESTART = r"Detected call of `scheduler\.step\(\)` before"
"""mmengine's, of a resumed run: the optimiser has taken its steps, in the process before."""
_KEPT = 10_000
"""Log lines from before there is a log file."""


class RunConsole:
    """The console of a run, while mmengine's log goes to the run's file.

    Entered before anything is read or built: what is said until the run has a file is kept for it.

    Args:
        verbose: let the whole log through, and show no progress.

    Attributes:
        console: rich's, on the output stream.
    """

    def __init__(self, verbose: bool = False) -> None:
        self.verbose = verbose
        self.console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
        self._early = MemoryHandler(_KEPT, flushLevel=logging.CRITICAL + 1)
        self._logger: MMLogger | None = None
        self._filters = warnings.catch_warnings()

    @property
    def live(self) -> bool:
        """Whether a person watches: a bar is drawn then, else a line an epoch is printed."""
        return self.console.is_terminal and not self.verbose and is_main_process()

    def __enter__(self) -> RunConsole:
        self._filters.__enter__()
        warnings.filterwarnings("ignore", _OF_TORCH_ALONE, FutureWarning)
        warnings.filterwarnings("ignore", _AFTER_A_RESTART, UserWarning)
        if not self.verbose:
            self._logger = MMLogger.get_instance(f"sgseg_{uuid4().hex[:8]}")
            self._show_warnings_alone(self._logger)
            self._logger.handlers.append(self._early)
        return self

    def __exit__(self, *error: Any) -> None:
        self._filters.__exit__(None, None, None)
        if self._logger is not None and self._early in self._logger.handlers:
            self._logger.handlers.remove(self._early)

    def quieten(self, logger: MMLogger) -> None:
        """Let the warnings of a run's log alone through to the console."""
        logger.addFilter(_concerns_users)
        if not self.verbose:
            self._show_warnings_alone(logger)

    def hand_over(self, logger: MMLogger) -> None:
        """Write what was said before into the file of a run's log."""
        for record in self._early.buffer:
            for handler in logger.handlers:
                if isinstance(handler, logging.FileHandler):
                    handler.handle(record)
        self._early.buffer.clear()

    def say(self, line: str) -> None:
        """Show a line of the main process, above the bar if there is one."""
        if is_main_process():
            self.console.print(line)

    def _show_warnings_alone(self, logger: MMLogger) -> None:
        stream = next(h for h in logger.handlers if not isinstance(h, logging.FileHandler))
        shown = _Shown(self.console, max(stream.level, logging.WARNING))
        logger.handlers[logger.handlers.index(stream)] = shown


class _Shown(logging.StreamHandler):  # mmengine's MLflow backend looks at a handler's stream
    """Warnings and errors as sentences, each once."""

    def __init__(self, console: Console, level: int) -> None:
        super().__init__(console.file)
        self.setLevel(level)
        self.console = console
        self.addFilter(FilterDuplicateWarning("mmengine"))

    def emit(self, record: logging.LogRecord) -> None:
        self.console.print(f"{record.levelname.capitalize()}: {record.getMessage()}")


def _concerns_users(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_OF_MMENGINE_ALONE)
