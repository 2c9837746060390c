"""Mutation score: of small changes to the code, the share that some test notices.

Example:
    python -m tests.reliability.mutate --sample 60 --seed 0

Every comparison, arithmetic operator, number, boolean and ``not`` of ``sgseg/ops`` and
``sgseg/evaluation`` can be changed; a sample of these, drawn by the seed, is tried one by one on a
copy of the project. Changes of text and of arguments' defaults in signatures count like others.
"""

from __future__ import annotations

import argparse
import ast
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# Imported once, before sgseg: the children of this process then start in no time.
import cv2  # noqa: F401
import hypothesis  # noqa: F401
import mmcv  # noqa: F401
import mmengine  # noqa: F401
import pytest
import scipy.optimize  # noqa: F401
import skimage.data  # noqa: F401
import sklearn.metrics  # noqa: F401
import torch
import torch_geometric  # noqa: F401

ROOT = Path(__file__).parents[2]
SUITE = ["tests/ops", "tests/evaluation", "tests/paper"]
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.In: ast.NotIn,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}


class Mutator(ast.NodeTransformer):
    """Changes the ``target``-th place it meets, and counts all."""

    def __init__(self, target: int = -1) -> None:
        self.target, self.count, self.said = target, 0, ""
        self.line = 0  # near a change: operators have none of their own

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Change an operator or a constant if it is its turn."""
        self.line = getattr(node, "lineno", self.line)
        super().generic_visit(node)
        other: ast.AST | None = None
        if type(node) in SWAPS:
            other = SWAPS[type(node)]()
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
            other = ast.Constant(not node.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
            other = ast.Constant(node.value + 1)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
            other = node.operand
        if other is None:
            return node
        self.count += 1
        if self.count - 1 != self.target:
            return node
        self.said = f"line {self.line}: {ast.dump(node)[:60]} -> {ast.dump(other)[:60]}"
        return ast.copy_location(other, node)


def places(path: Path) -> int:
    """Number of changes that a file offers."""
    counter = Mutator()
    counter.visit(ast.parse(path.read_text()))
    return counter.count


def run_tests(copy: Path, suite: list[str]) -> None:
    """In a child process: the tests of the copy, with whatever is imported already."""
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    out = os.open(os.devnull, os.O_WRONLY)
    os.dup2(out, 1), os.dup2(out, 2)
    os._exit(int(pytest.main(["-x", "-q", "-m", "not slow", *suite])))


def passes(copy: Path, suite: list[str]) -> bool:
    """Whether these tests of the copy pass; endless ones do not."""
    process = multiprocessing.get_context("fork").Process(target=run_tests, args=(copy, suite))
    process.start()
    process.join(300)
    process.kill()
    return process.exitcode in (0, 5)


def noticed(copy: Path, path: Path, number: int) -> tuple[bool, str]:
    """Whether a test fails on change ``number`` of ``path``, and what was changed."""
    original = (ROOT / path).read_text()
    mutator = Mutator(number)
    tree = ast.fix_missing_locations(mutator.visit(ast.parse(original)))
    (copy / path).write_text(ast.unparse(tree))
    own = sorted(str(p.relative_to(ROOT)) for p in ROOT.glob(f"tests/*/test_*{path.stem}*.py"))
    try:
        killed = not (passes(copy, own) and passes(copy, SUITE))
    finally:
        (copy / path).write_text(original)
    return killed, mutator.said


def try_changes(changes: list[tuple[Path, int]], end: float, verdicts: Any) -> None:
    """In a process: try changes on a copy of its own until a time; report each, None at the end."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        ignored = shutil.ignore_patterns(".git", ".venv*", "work_dirs", "__pycache__")
        shutil.copytree(ROOT, copy, ignore=ignored)
        if not passes(copy, SUITE):
            verdicts.put("the tests fail without any change: nothing can be told from them")
        else:
            for path, number in changes:
                if time.monotonic() > end:
                    break
                verdicts.put((path, *noticed(copy, path, number)))
    verdicts.put(None)


def main() -> None:
    """Try a sample and print the score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60, help="begin no change behind these")
    parser.add_argument("--jobs", type=int, default=2, help="changes tried at a time")
    args = parser.parse_args()
    torch.set_num_threads(1)
    end = time.monotonic() + 60 * args.minutes
    files = [
        p.relative_to(ROOT) for d in ("ops", "evaluation") for p in ROOT.glob(f"sgseg/{d}/*.py")
    ]
    every = [(path, n) for path in sorted(files) for n in range(places(ROOT / path))]
    chosen = random.Random(args.seed).sample(every, min(args.sample, len(every)))
    context = multiprocessing.get_context("fork")
    verdicts = context.Queue()
    for job in range(args.jobs):
        mine = chosen[job :: args.jobs]
        context.Process(target=try_changes, args=(mine, end, verdicts)).start()
    found = tried = ended = 0
    while ended < args.jobs:
        verdict = verdicts.get()
        if verdict is None:
            ended += 1
        elif isinstance(verdict, str):
            raise SystemExit(verdict)
        else:
            path, killed, said = verdict
            found, tried = found + killed, tried + 1
            print(
                f"{found}/{tried} {'noticed' if killed else 'SURVIVED'} {path} {said}", flush=True
            )
    share = f"{found} of {tried} tried, of {len(every)} there are"
    print(f"mutation score {100 * found / max(tried, 1):.0f} % ({share})")


if __name__ == "__main__":
    main()
