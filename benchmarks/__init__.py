"""Speed and memory, measured side by side in one run; run by ``tools/benchmark.py``.

A module here is a benchmark, and its name the tool's subcommand. It has a docstring whose first
line is the help, ``add_arguments(parser)``, and ``run(args)`` that gives a :class:`Result`.
"""

from sgseg.cost.result import Goal, Result, Row

__all__ = ["Goal", "Result", "Row"]
