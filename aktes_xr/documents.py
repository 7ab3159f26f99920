"""JSON documents, written whole or not at all."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any


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
    target = Path(path)
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
