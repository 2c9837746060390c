"""Read ``--cfg-options a.b.c=value ...`` from the command line."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

_DICTIONARY = re.compile(r"\bdict\(|^[\[('\"\s]*\{")


class OptionsAction(argparse.Action):
    """Read ``KEY=VALUE`` with numbers, lists, tuples and None; refuse what cannot be read.

    Values are read by mmengine's ``DictAction``; alone, that takes ``dict(a=1)`` for a string, or
    never ends reading a list of them.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Add the overrides to those of the name space."""
        from mmengine.config import DictAction  # takes a second, which help need not wait for

        options = dict(getattr(namespace, self.dest, None) or {})
        for each in [values] if isinstance(values, str) else values or []:
            key, separator, value = each.partition("=")
            if not (key and separator):
                self._refuse(f"{each!r} sets nothing: write KEY=VALUE, without spaces")
            if _DICTIONARY.search(value):
                self._refuse(
                    f"{each!r}: a dictionary is set key by key, {key}.KEY=VALUE, or as a whole "
                    "in a config file that inherits from this one"
                )
            try:
                options[key] = DictAction._parse_iterable(value)
            except (AssertionError, RecursionError):
                self._refuse(f"{each!r}: the brackets of the value do not match; quote it whole")
        setattr(namespace, self.dest, options)

    def _refuse(self, why: str) -> NoReturn:
        raise argparse.ArgumentError(self, why)
