"""`sgseg doctor` knows what is there, what is missing and what is broken."""

from __future__ import annotations

import importlib.metadata

import pytest
from packaging.requirements import Requirement

from sgseg.cli import doctor, main


def test_a_whole_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions as the metadata have them, a device, every extra; status 0."""
    monkeypatch.setattr(doctor, "_import_fails", lambda name: "")  # seconds, and tested below
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert f"  torch {importlib.metadata.version('torch')}\n" in out and "CPU: " in out
    for extra in importlib.metadata.metadata("sgseg").get_all("Provides-Extra") or []:
        assert f"\n  {extra} " in out


def test_what_is_missing_old_or_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with its reason and one command; status 1."""
    needed = [Requirement(name) for name in ("no-such-package>=2", "numpy>=99", "scipy", "pillow")]
    extras = dict(geo=[Requirement("no-raster>=1")])
    monkeypatch.setattr(doctor, "requirements", lambda: (needed, extras))
    monkeypatch.setattr(doctor, "_modules", lambda: {"no_such_module": ["scipy"]})
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert 'no-such-package MISSING  -> pip install "no-such-package>=2"\n' in out
    assert 'wanted >=99  -> pip install "numpy>=99"\n' in out
    assert "No module named 'no_such_module'  -> pip install --force-reinstall --no-deps " in out
    assert 'no-raster MISSING  -> pip install "sgseg[geo]"' in out
