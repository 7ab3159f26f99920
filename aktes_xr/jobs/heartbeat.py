"""The sign of life of a scheduled run: a line in the log, and a file for a probe."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from aktes_xr.jobs.account import Account
from aktes_xr.jobs.config import Report

logger = logging.getLogger(__name__)


@contextmanager
def heartbeat(report: Report, account: Account) -> Iterator[None]:
    """Say now and then that a run lives, also while one batch takes long.

    Parameters
    ----------
    report : Report
        How often, and the file that a probe looks at.
    account : Account
        Of the run.

    Yields
    ------
    None
    """
    ended = threading.Event()
    alive = report.alive

    def beat() -> None:
        begin = time.monotonic()
        while not ended.wait(report.heartbeat_s):
            if alive is not None:
                with suppress(OSError):
                    # What cannot be touched is for the probe to notice.
                    alive.touch()
            logger.info(
                "alive after %.0f s: %d date(s) made, %d to go",
                time.monotonic() - begin,
                len(account.made),
                account.remaining,
            )

    if alive is not None:
        alive.parent.mkdir(parents=True, exist_ok=True)
        alive.touch()
    thread = threading.Thread(target=beat, name="aktes-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if alive is not None:
            alive.unlink(missing_ok=True)
