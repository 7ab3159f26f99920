"""Messages of the library in the words of the command line: ``--dem``, not ``dem=``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

__all__ = ["OTHER_NAMES", "PHRASES", "in_options"]

OTHER_NAMES: Final = {"ancillary": ("ancillaries", "source"), "out": ("path",)}
"""What the library's functions call an option's parameter, where they do so by another name."""
PHRASES: Final = {
    "open the cube with errors='nodata' to go on without it": "leave out --strict to go on "
    "without it",
    " or like=": "",
    ", a DataArray, or items of a DEM collection": " or items of a DEM collection",
    "write one with aktes_xr.write_result": "write one with 'aktes retrieve'",
    "add it as the contract in aktes_xr.cube describes": "give it with --ancillary or --dem",
    "put it on the cube's grid first": "give one on the result's pixels, such as those of "
    "'aktes retrieve --resolution native'",
}
"""Advice that is another on the command line than in Python."""


def in_options(text: str, command: Any) -> str:
    """Name the options of a command where a message names parameters of a function.

    Parameters
    ----------
    text : str
        The message of an error.
    command : click Command, or None
        Whose options are meant. Without it the text stays as it is.

    Returns
    -------
    str
    """
    if command is None:
        return text
    for said, meant in PHRASES.items():
        text = text.replace(said, meant)
    for option in _options(command):
        flag = max(option.opts, key=len)
        names = "|".join(map(re.escape, (option.name, *OTHER_NAMES.get(option.name, ()))))
        # Where a message begins with it, the name of a parameter stands alone.
        text = re.sub(rf"^(?:{names})(?= is | ')", flag, text)
        if option.is_flag:
            text = re.sub(rf"(?<![\w-])(?:{names})=True\b", flag, text)
            continue
        shape = option.metavar or str(option.name).upper()
        text = re.sub(rf"(?<![\w-])(?:{names})=\([^)]*\)", f"{flag} {shape}", text)
        text = re.sub(rf"(?<![\w-])(?:{names})='([^']*)'", rf"{flag} \1", text)
        text = re.sub(rf"(?<![\w-])(?:{names})=(?=\w)", f"{flag} ", text)
        text = re.sub(rf"(?<![\w-])(?:{names})=", flag, text)
    return text


def _options(command: Any) -> Iterator[Any]:
    """Yield the options of a command and of those below it."""
    commands: Iterable[Any] = getattr(command, "commands", {}).values()
    for below in commands:
        yield from _options(below)
    for parameter in command.params:
        if parameter.param_type_name == "option" and parameter.name != "help":
            yield parameter
