"""Start processes that leave Ctrl-C to the one that started them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ctrl_c_stays_here() -> Iterator[None]:
    """Around the start of processes: the terminal's Ctrl-C, sent to all, passes them by.

    Spawned ones take over that it is ignored; each would print a traceback of its own. Ctrl-C is
    lost while the block runs. Outside the main thread, where Python sets no handlers, nothing
    changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
