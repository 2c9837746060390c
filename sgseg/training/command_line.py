"""Overrides as they are typed: ``--cfg-options a.b.c=value ...`` of every tool."""

from __future__ import annotations

import re
from argparse import ArgumentError, ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Any

from mmengine.config import DictAction

_DICTIONARY = re.compile(r"\bdict\(|^[\[('\"\s]*\{")


class OptionsAction(DictAction):  # type: ignore[misc]
    """Read ``KEY=VALUE`` with numbers, lists, tuples and None; refuse what it cannot read.

    mmengine's action takes ``dict(a=1)`` for a string, or never ends reading a list of them.
    """

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Add the overrides to those of the name space."""
        for each in [values] if isinstance(values, str) else values or []:
            key, separator, value = each.partition("=")
            if not (key and separator):
                raise ArgumentError(self, f"{each!r} sets nothing: write KEY=VALUE, without spaces")
            if _DICTIONARY.search(value):
                raise ArgumentError(
                    self,
                    f"{each!r}: a dictionary is set key by key, {key}.KEY=VALUE, or as a whole "
                    "in a config file that inherits from this one",
                )
            try:
                self._parse_iterable(value)
            except (AssertionError, RecursionError) as error:
                raise ArgumentError(
                    self, f"{each!r}: the brackets of the value do not match; quote it as a whole"
                ) from error
        super().__call__(parser, namespace, values, option_string)
