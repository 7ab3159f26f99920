"""A training study's outcome: rows of figures, written as JSON and read as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aktes_xr.learn.training import write_json


@dataclass(frozen=True)
class Study:
    """Figures of a study.

    Attributes
    ----------
    title : str
    columns : sequence of str
    rows : sequence of sequence
        Text and numbers in the order of the columns.
    path : Path
        Where they are kept, as JSON.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    path: Path

    def write(self) -> None:
        """Write title, columns and rows to the path."""
        write_json(
            self.path,
            {
                "title": self.title,
                "columns": list(self.columns),
                "rows": [list(row) for row in self.rows],
            },
        )

    def text(self) -> str:
        """Return a Markdown table."""
        lines = [self.title, "", "| " + " | ".join(self.columns) + " |"]
        lines.append("|" + " --- |" * len(self.columns))
        lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in self.rows]
        return "\n".join(lines)

    @classmethod
    def read(cls, path: Path) -> Study:
        """Read what `write` wrote."""
        found = json.loads(path.read_text(encoding="utf-8"))
        return cls(found["title"], found["columns"], found["rows"], path)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
