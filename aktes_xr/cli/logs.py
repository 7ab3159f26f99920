"""Log lines for people or for machines."""

from __future__ import annotations

import json
import logging
import sys
import time

from aktes_xr.errors import printable


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, where it comes from, and what is said."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line.

        Parameters
        ----------
        record : logging.LogRecord

        Returns
        -------
        str
        """
        found = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": printable(record.getMessage()),
        }
        if record.exc_info:
            found["traceback"] = self.formatException(record.exc_info)
        return json.dumps(found)


def show_work(logger: str, *, as_json: bool) -> None:
    """Show what a part of the package says of its work, on stderr.

    Parameters
    ----------
    logger : str
        Its name.
    as_json : bool
        One JSON object a line, for all log lines.
    """
    chosen = logging.getLogger(logger)
    chosen.setLevel(min(logging.INFO, logging.getLogger("aktes_xr").level or logging.INFO))
    if as_json:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonLines())
        logging.root.handlers[:] = [handler]
