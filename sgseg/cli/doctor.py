"""Say what is installed, which devices there are, what is missing and how to get it.

Example:
    sgseg doctor
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import platform
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

from .. import __version__

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_FOR = dict(
    geo="georeferences, polygons, windows of compressed rasters",
    scale="tables as jobs, also on Slurm; maps by workers of Ray; object stores",
    track="curves and pictures in TensorBoard",
    wandb="in Weights & Biases",
    mlflow="in MLflow",
    features="frozen networks (DINO and others)",
    export="ONNX",
    annotate="masks for labelling tools (COCO)",
    app="naming clusters in a browser",
    docs="building this documentation",
    dev="the tests",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``sgseg doctor`` takes none."""


def run(args: argparse.Namespace) -> int:
    """Print the report; 1 if something that every command needs is missing."""
    print(f"sgseg {__version__}, Python {platform.python_version()}, {platform.platform()}")
    needed, extras = requirements()
    faults = [_line(each) for each in needed]
    print("\nNeeded by every command")
    for install, line in faults:
        print(f"  {line}" + (f"  -> pip install {install}" if install else ""))
    print("\nDevices")
    print("\n".join(f"  {line}" for line in _devices()))
    print("\nExtras")
    for extra, members in sorted(extras.items()):
        lines = [_line(each, imported=False) for each in members]
        missing = any(install for install, _ in lines)
        add = f'  -> pip install "sgseg[{extra}]"' if missing else ""
        print(f"  {extra:<9}{_FOR.get(extra, '')}: {', '.join(line for _, line in lines)}{add}")
    return int(any(install for install, _ in faults))


def requirements() -> tuple[list[Requirement], dict[str, list[Requirement]]]:
    """What the installed sgseg needs, and what each extra adds.

    Raises:
        FileNotFoundError: for a checkout that was not installed.
    """
    from packaging.requirements import Requirement

    try:
        stated = importlib.metadata.requires("sgseg") or []
    except importlib.metadata.PackageNotFoundError as error:
        raise FileNotFoundError(
            "sgseg is not installed, so nothing says what it needs: pip install --editable . in "
            "its folder, or make setup"
        ) from error
    needed: list[Requirement] = []
    extras: dict[str, list[Requirement]] = defaultdict(list)
    known = importlib.metadata.metadata("sgseg").get_all("Provides-Extra") or []
    for each in map(Requirement, stated):
        of = [x for x in known if each.marker is not None and each.marker.evaluate(dict(extra=x))]
        if each.marker is None or each.marker.evaluate(dict(extra="")):
            needed.append(each)
        else:
            for extra in of:
                extras[extra].append(each)
    return needed, extras


def _line(wanted: Requirement, imported: bool = True) -> tuple[str, str]:
    """What to install for it, empty if it is there and fits; and what to print."""
    name, asked = wanted.name, f"{wanted.name}{wanted.specifier}"
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        if (other := _in_the_place_of(name)) is not None:
            return "", f"{name} by {other}"
        return f'"{asked}"', f"{name} MISSING"
    if not wanted.specifier.contains(version, prereleases=True):
        return f'"{asked}"', f"{name} {version}, wanted {wanted.specifier}"
    if imported and (why := _import_fails(name)):
        return (
            f'--force-reinstall --no-deps "{asked}"',
            f"{name} {version} cannot be imported: {why}",
        )
    return "", f"{name} {version}"


_OTHERS = {
    "mmengine": ("onedl-mmengine",),
    "opencv-python": ("opencv-python-headless", "opencv-contrib-python"),
}
"""Package -> those that give the same module."""


def _in_the_place_of(name: str) -> str | None:
    for other in _OTHERS.get(name, ()):
        try:
            return f"{other} {importlib.metadata.version(other)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _import_fails(distribution: str) -> str:
    """Why its first module cannot be imported; empty if it can."""
    own = sorted(m for m, names in _modules().items() if distribution in names and m[0] != "_")
    try:
        for module in own[:1]:
            importlib.import_module(module)
    except (ImportError, OSError) as error:  # OSError: a system library that it needs
        return str(error)
    return ""


@cache  # it reads the lists of files of everything that is installed
def _modules() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def _devices() -> Iterator[str]:
    """GPUs, cores, memory and disk, a line each."""
    import torch

    from ..io.progress import usable_cores

    for number in range(torch.cuda.device_count()):
        memory = torch.cuda.get_device_properties(number).total_memory / 2**30
        yield f"GPU {number}: {torch.cuda.get_device_name(number)}, {memory:.0f} GiB"
    if not torch.cuda.is_available():
        yield "no GPU that torch can use: training and prediction run on the CPU"
        if shutil.which("nvidia-smi") and torch.version.cuda is None:
            yield (
                "an NVIDIA driver is here, but this torch was built without CUDA: install one "
                "with it, https://pytorch.org/get-started/locally"
            )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield f"CPU: {usable_cores()} cores, {torch.get_num_threads()} threads; memory {memory:.0f} GiB"
    free = shutil.disk_usage(".").free / 2**30
    yield f"disk: {free:.0f} GiB free in the current folder"
