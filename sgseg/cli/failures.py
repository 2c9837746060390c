"""How a command ends that fails: a sentence for its user, or where the traceback of a fault lies.

A failure is the user's if sgseg raised it by a statement of its own, which then says what to do,
or if the system refused a file. Whatever else comes out of a command is a fault of sgseg, or of a
file of the user's that it ran (a config, a plug-in); both are said with the place.
"""

from __future__ import annotations

import dis
import errno
import os
import re
import signal
import sys
import sysconfig
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]
INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells count it."""
_LONGEST = 900
"""Characters of a sentence; the rest is for ``--debug``."""
_ADVICE = {
    errno.ENOSPC: "free some space, then go on (--resume, or the same call again)",
    errno.EDQUOT: "free some space, then go on (--resume, or the same call again)",
    errno.EACCES: "choose another place, or ask for the right to use this one",
    errno.EROFS: "choose a place that can be written to",
    errno.EMFILE: "allow more open files (ulimit -n 4096), or fewer --workers",
}
"""What to do about what the system says."""
_FULL = re.compile(r"out of memory|can't allocate memory|killed by signal: Killed", re.I)
_OF_ALL = re.compile(r"Rank \d+ of \d+: ")
_REMOTE = re.compile(r'^\s*File "(?P<path>.+)", line \d+, in .+\n\s*(?P<code>.*)$', re.M)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end this process by KeyboardInterrupt, and those it forks without a word.

    The terminal signals all of them; each would print a traceback of its own.
    """
    global _forks_die
    before, _forks_die = _forks_die, True
    try:
        yield
    finally:
        _forks_die = before


_forks_die = False


def _in_a_fork() -> None:
    # Ignored, as what a script starts with & has it, it stays so for all of them.
    if _forks_die and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


os.register_at_fork(after_in_child=_in_a_fork)


def fail(error: BaseException, debug: bool = False) -> int:
    """Say on the error stream what went wrong.

    Args:
        error: that ended a command.
        debug: show the traceback, whatever it is.

    Returns:
        The exit status.
    """
    if _was_interrupted(error):
        # From here on a further Ctrl-C ends the process at once, whatever it is tidying up.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        print("Interrupted", file=sys.stderr)
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):  # of `sgseg config ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    if debug:
        traceback.print_exception(error)
        return 1
    said = sentence(error)
    # What all processes of a run agreed on is said by the first of them.
    if not (said and _OF_ALL.match(said) and os.environ.get("RANK", "0") != "0"):
        print(f"Error: {said or _fault(error)}", file=sys.stderr)
    return 1


def sentence(error: BaseException) -> str | None:
    """What the user of a command can do about an error; None if it is a fault of the code."""
    remote = _remote_traceback(error)
    message = _message(error)
    if isinstance(error, MemoryError) or _FULL.search(message):
        return (
            f"The memory is full ({message.partition('. ')[0]}): train with a smaller batch "
            "(--cfg-options total_batch_size=N; sgseg plan CONFIG says what fits), or predict in "
            "smaller windows (--tile N)"
        )
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        named = f"{error.filename}: " if error.filename is not None else ""
        advice = _ADVICE.get(error.errno)
        return f"{named}{error.strerror}" + (f"; {advice}" if advice else "")
    if isinstance(error, SyntaxError) and error.filename and not _is_ours(error.filename):
        return f"{error.filename}, line {error.lineno}: {error.msg}"
    path, raised = _origin(error, remote)
    unknown_name = isinstance(error, KeyError) and "registry" in message and "mmengine" in path
    said = raised and _is_ours(path) and not isinstance(error, (AssertionError, IndexError))
    return _shortened(message) if message and (said or unknown_name) else None


def _fault(error: BaseException) -> str:
    """Where an error came from that nobody foresaw, and where its traceback was written."""
    kind = f"{type(error).__name__}: {_shortened(_message(error))}"
    frames = traceback.extract_tb(error.__traceback__)
    with tempfile.NamedTemporaryFile(
        "w", prefix="sgseg_error_", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        file.writelines(traceback.format_exception(error))
    whole = f"The whole traceback: {file.name}"
    if own := [frame for frame in frames if _is_a_users(frame.filename)]:
        return f"{own[-1].filename}, line {own[-1].lineno}, in {own[-1].name}: {kind}. {whole}"
    ours = [frame for frame in frames if _is_ours(frame.filename)]
    place = f" ({ours[-1].filename}, line {ours[-1].lineno})" if ours else ""
    return f"this is a fault of sgseg, not yours: {kind}{place}. {whole}; please report it with it"


def _was_interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C was at the beginning of an error: workers that died of it raise others."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt) or "killed by signal: Interrupt" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _remote_traceback(error: BaseException) -> str:
    """The traceback of a worker process that an error came from, as text."""
    if "Original Traceback" in str(error):  # of a loader's worker
        return str(error)
    return str(getattr(error.__cause__, "tb", ""))  # of a pool's


def _message(error: BaseException) -> str:
    """The text of an error, in one line."""
    text = error.args[0] if isinstance(error, KeyError) and error.args else str(error)
    if caught := re.match(r"Caught (\w+) in DataLoader worker", str(text)):
        text = re.split(rf"\n(?:[\w.]+\.)?{caught[1]}: ", str(text))[-1]
    return " ".join(str(text).split())


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ... (--debug shows all of it)"


def _origin(error: BaseException, remote: str) -> tuple[str, bool]:
    """The file that an error was raised in, and whether by a ``raise`` statement."""
    if remote and (frames := list(_REMOTE.finditer(remote))):
        return frames[-1]["path"], frames[-1]["code"].startswith("raise")
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return ("", False) if last is None else (last.tb_frame.f_code.co_filename, _is_raise(last))


def _is_raise(place: TracebackType) -> bool:
    operations: Any = place.tb_frame.f_code.co_code
    return operations[place.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def _is_ours(path: str) -> bool:
    return Path(path).resolve().is_relative_to(PACKAGE)


def _is_a_users(path: str) -> bool:
    """Whether a file is neither of sgseg, nor installed, nor of Python."""
    if path.startswith("<"):
        return False
    of_others = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib")]
    file, doorways = Path(path).resolve(), PACKAGE.parent / "tools"
    known = [PACKAGE, doorways, PACKAGE / "configs", *map(Path, of_others)]
    return not any(file.is_relative_to(folder.resolve()) for folder in known) and (
        "site-packages" not in file.parts and "bin" not in file.parts[-2:-1]
    )
