"""What a run has done: for people, as JSON, and as metrics for Prometheus."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from aktes_xr.store.journal import Entry, Journal

DONE, PARTIAL = 0, 3
"""Exit codes of the command: all of it done; some of it not."""
_METRICS: Final = (
    ("aktes_series_dates", "Dates in the store by state.", "states"),
    ("aktes_run_dates", "Dates of the last run by outcome.", "outcomes"),
)


@dataclass
class Account:
    """What came of a run.

    Attributes
    ----------
    store : where the series is
    planned : numbers of dates by what was to be done with them and why
    made : entries that this run wrote, in their order
    skipped : items that could not be used
    remaining : dates left for the next run
    seconds, processor_s : of the run so far
    batches : dates, seconds and processor seconds of each batch
    begun : s, of a clock that only runs on
    failure : the error that ended the run, in one line; empty unless there was one
    """

    store: str
    planned: Mapping[str, int] = field(default_factory=dict)
    made: list[Entry] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    remaining: int = 0
    seconds: float = 0.0
    processor_s: float = 0.0
    batches: list[tuple[int, float, float]] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)
    failure: str = ""

    @property
    def outcomes(self) -> dict[str, int]:
        """Dates of this run by the state they came to."""
        return dict(sorted(Counter(entry.state for entry in self.made).items()))

    @property
    def exit_code(self) -> int:
        """0, or 3 where a date of this run could not be read or used as a whole."""
        whole = all(entry.state == "done" for entry in self.made) and not self.skipped
        return DONE if whole else PARTIAL

    def as_dict(self) -> dict[str, Any]:
        """Return plain types for JSON."""
        entries = [{**asdict(entry), "items": list(entry.items)} for entry in self.made]
        return {
            "store": self.store,
            "error": self.failure,
            "planned": dict(self.planned),
            "outcomes": self.outcomes,
            "remaining": self.remaining,
            "seconds": round(self.seconds, 3),
            "processor_s": round(self.processor_s, 3),
            "dates": entries,
            "skipped": self.skipped,
            "batches": [
                {"dates": n, "seconds": round(s, 4), "processor_s": round(p, 4)}
                for n, s, p in self.batches
            ],
        }

    def lines(self) -> dict[str, str]:
        """Return the account as labels and texts to read."""
        found = {"store": self.store}
        found |= {f"  {what}": str(number) for what, number in self.planned.items()}
        done = ", ".join(f"{number} {state}" for state, number in self.outcomes.items())
        return {**found, "this run": done or "nothing", "left for the next": str(self.remaining)}

    def troubles(self) -> list[str]:
        """Return a line for each date and item of this run that is not done."""
        lines = [f"left out {one['id']}: {one['reason']}" for one in self.skipped]
        return lines + [
            f"{entry.state}: {entry.key} ({', '.join(entry.items)}): {entry.reason}"
            for entry in self.made
            if entry.state != "done"
        ]

    def metrics(self, journal: Journal | None, *, exit_code: int, now: float) -> str:
        """Return the metrics as Prometheus' text format.

        Parameters
        ----------
        journal : Journal or None
            Of the series as it is now.
        exit_code : int
            Of the run.
        now : float, s
            Since 1970.

        Returns
        -------
        str
        """
        entries = journal.entries.values() if journal is not None else ()
        states: dict[str, int] = dict(Counter(entry.state for entry in entries))
        known: dict[str, Mapping[str, int]] = {"states": states, "outcomes": self.outcomes}
        lines = []
        for name, text, what in _METRICS:
            lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge"]
            lines += [
                f"{name}{{state={json.dumps(state)}}} {known[what].get(state, 0)}"
                for state in ("done", "unreadable", "unusable")
            ]
        for name, text, value in (
            ("aktes_run_remaining_dates", "Dates left for the next run.", self.remaining),
            ("aktes_run_seconds", "Duration of the last run.", round(self.seconds, 3)),
            ("aktes_run_exit_code", "How the last run ended.", exit_code),
            ("aktes_run_end_timestamp_seconds", "When the last run ended.", round(now, 3)),
        ):
            lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge", f"{name} {value}"]
        return "\n".join(lines) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Parameters
    ----------
    path : Path
        A file there is replaced.
    text : str
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
