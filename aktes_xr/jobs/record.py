"""What a run leaves behind besides dates: its report, metrics and page, and a notice."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from aktes_xr.documents import write_json
from aktes_xr.errors import AktesError
from aktes_xr.jobs.account import DONE, PARTIAL, Account, write_text
from aktes_xr.jobs.config import Job
from aktes_xr.jobs.notice import notify
from aktes_xr.report import store_page
from aktes_xr.store import open_result
from aktes_xr.store.journal import Journal
from aktes_xr.store.series import read_journal

logger = logging.getLogger(__name__)


def tell(job: Job, account: Account, *, exit_code: int) -> None:
    """Write the files that the job asks for, and tell whom it asks to tell.

    Parameters
    ----------
    job : Job
    account : Account
        Of the run, which is over.
    exit_code : int
        Its end.

    Raises
    ------
    AktesError
        A file cannot be written, or the series cannot be read.
    """
    try:
        _write(job, account, exit_code)
    finally:
        notify(job.notify, account, exit_code=exit_code)


def _write(job: Job, account: Account, exit_code: int) -> None:
    if job.report.json_file is not None:
        write_json(job.report.json_file, {"exit_code": exit_code, **account.as_dict()})
    if job.report.page is None and job.report.metrics is None:
        return
    journal = read_journal(job.store.address) if exit_code in (DONE, PARTIAL) else None
    if job.report.page is not None and journal is not None:
        _show(job.report.page, account, journal)
    if job.report.metrics is not None:
        text = account.metrics(journal, exit_code=exit_code, now=time.time())
        write_text(job.report.metrics, text)


def _show(page: Path, account: Account, journal: Journal) -> None:
    """Draw the series with what the run did; where that fails, the run is none the worse.

    A run that made nothing leaves the page as it is.
    """
    if not journal.slots or not (account.made or not page.exists()):
        return
    logger.info("drawing the series")
    # Not where the store lies: a page may go to people who must not know.
    said = {what.strip(): value for what, value in account.lines().items() if what != "store"}
    said["time it took"] = f"{account.seconds:.0f} s"
    left_out = [(one["id"], one["reason"]) for one in account.skipped]
    gaps = [*journal.gaps(), *left_out]
    try:
        write_text(page, store_page(open_result(account.store), run=said, gaps=gaps))
    except (AktesError, OSError) as error:
        logger.warning("could not draw %s: %s", page.name, error)
