"""Errors that a user can mend. The command line prints them as one line and exits with code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Bad input: says which file or option, which field, what is wrong and how to mend it.

    Args:
        where: the file, option or object at fault.
        what: what is wrong with it, naming the field.
        mend: what the user can do about it.
    """

    def __init__(self, where: object, what: str, mend: str) -> None:
        self.where, self.what, self.mend = str(where), what, mend
        super().__init__(f"{where}: {what}; {mend}")


def meant(name: str, known: Iterable[str]) -> str:
    """`did you mean 'NAME'? ` with the known name that is nearest to a mistyped one; empty where none is near."""
    close = difflib.get_close_matches(name, list(known), 1, 0.5)
    return f"did you mean {close[0]!r}? " if close else ""
