"""Documents, written whole or not at all, and small tables for notebooks."""

from __future__ import annotations

import html
import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aktes_xr.errors import InputError


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write a value as JSON for people and for the next step: beside the file, then renamed.

    Parameters
    ----------
    path : path
        A file that exists is replaced.
    content : value
        Plain types; finite numbers.

    Raises
    ------
    ValueError
        A number is not finite: JSON has no word for it.
    """
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def html_table(title: str, rows: Mapping[str, Any]) -> str:
    """Return names and values as an HTML table, as notebooks show an object.

    Parameters
    ----------
    title : str
        Above the table.
    rows : mapping
        Text of each name and of its value; all is escaped.

    Returns
    -------
    str
    """
    cells = "".join(
        f"<tr><th style='text-align:left'>{html.escape(str(name).strip())}</th>"
        f"<td style='text-align:left'>{html.escape(str(value))}</td></tr>"
        for name, value in rows.items()
    )
    return f"<div><strong>{html.escape(title)}</strong><table>{cells}</table></div>"


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text beside its file, then rename it: a full disk leaves the old file or none.

    Parameters
    ----------
    path : path
        A file that exists is replaced.
    text : str
        The whole content.

    Raises
    ------
    InputError
        There is no folder to write it into, or a folder in its place.
    OSError
        It cannot be written there.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise InputError(
            f"there is no folder {target.parent.name!r} to write {target.name} into; make it first"
        )
    if target.is_dir():
        raise InputError(f"{target.name!r} is a folder; expected the name of a file")
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
