"""The command line: ``sgseg COMMAND ...``, and each file of ``tools/`` for the command it names.

A command is a module here with ``add_arguments(parser)`` and ``run(args)``; only ``run`` imports
torch and what is built on it, so that help comes at once.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence

from .. import __version__
from .arguments import UsageError
from .failures import fail, interruptible

COMMANDS = (
    *("demo", "train", "test", "predict", "name", "export"),
    *("prepare", "verify", "browse", "config", "plan"),
    *("baselines", "headroom", "superpixels", "tables", "doctor"),
)


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run a command and return its exit status: 1 after an error, 130 after Ctrl-C.

    Errors end in one sentence on the error stream (:mod:`.failures`).

    Args:
        arguments: the command and its arguments; default those of the process.
        prog: how the command was typed, for its help; default ``sgseg COMMAND``.

    Raises:
        SystemExit: after ``--help`` and ``--version`` (0), and for arguments that are wrong (2).
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    _let_threads_sleep()
    debug = "--debug" in given or os.environ.get("SGSEG_DEBUG", "0") != "0"
    try:
        with interruptible():
            return _run([each for each in given if each != "--debug"], prog, debug)
    except (Exception, KeyboardInterrupt) as error:
        return fail(error, debug)


def _let_threads_sleep() -> None:
    """Let OpenMP's threads wait asleep, unless the user says how: read when torch is imported.

    They spin otherwise, and beside other work keep each other from the core that the last one
    needs: docs/performance.md.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & os.environ.keys():
        os.environ["OMP_WAIT_POLICY"] = "passive"


def _run(given: Sequence[str], prog: str | None, debug: bool) -> int:
    top = ArgumentParser(
        "sgseg",
        description=_overview() if given[:1] in ([], ["-h"], ["--help"]) else None,
        epilog="sgseg COMMAND --help tells what a command takes, with an example.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"sgseg {__version__}")
    top.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    name = top.parse_args(given[:1]).command
    command = importlib.import_module(f"sgseg.cli.{name}")
    prog = prog or f"sgseg {name}"
    parser = ArgumentParser(
        prog,
        description=re.sub(rf"\bsgseg {name}\b", prog, command.__doc__ or ""),
        formatter_class=RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    # For the help alone: it may stand anywhere, behind a subcommand too.
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(debug=debug)
    # Paths may stand on either side of options, which argparse knows only without subcommands.
    parse = parser.parse_args if name == "prepare" else parser.parse_intermixed_args
    args = parse(given[1:])
    try:
        return command.run(args) or 0
    except UsageError as error:
        parser.error(str(error))


def _overview() -> str:
    lines = ["Unsupervised semantic segmentation with superpixels and graph networks.", ""]
    for name in COMMANDS:
        summary = (importlib.import_module(f"sgseg.cli.{name}").__doc__ or "").splitlines()[0]
        lines.append(f"  {name:<12}{summary}")
    return "\n".join(lines)
