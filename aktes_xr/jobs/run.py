"""A scheduled series: every date of a region once, in as many runs as it takes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from functools import partial

from aktes_xr.errors import AktesError, InputError
from aktes_xr.jobs.access import elevation_of, modifier_for
from aktes_xr.jobs.account import Account
from aktes_xr.jobs.agenda import Task, agenda, tally
from aktes_xr.jobs.batch import Maker, SecondPass
from aktes_xr.jobs.cluster import started
from aktes_xr.jobs.config import Job
from aktes_xr.jobs.dates import box_of, find_dates, grid_of
from aktes_xr.jobs.heartbeat import heartbeat
from aktes_xr.jobs.record import tell
from aktes_xr.jobs.second_pass import (
    keeps_brightness,
    own_stamps,
    second_address,
    second_agenda,
)
from aktes_xr.jobs.stamps import REDO, stamps_of
from aktes_xr.jobs.upkeep import retained
from aktes_xr.stac.signing import Modifier
from aktes_xr.store import open_result
from aktes_xr.store.journal import Journal
from aktes_xr.store.series import SeriesStore, claim_series, read_journal

logger = logging.getLogger(__name__)

_SECONDS_PER_HOUR = 3600.0
_FAILED = 5
_INTERRUPTED = 130


def plan_job(job: Job, *, redo: Collection[str] = ()) -> list[Task]:
    """Say what a run would do, without doing any of it.

    Parameters
    ----------
    job : Job
    redo : collection of str
        What dates are made anew for (`aktes_xr.jobs.stamps.REDO`).

    Returns
    -------
    list of Task
        In the order of time; behind them those of the second pass, where the job has one.

    Raises
    ------
    AktesError
        As `run_job` raises.
    """
    _refuse_unknown(redo)
    grid = grid_of(job.region)
    found, _ = find_dates(job.input, box_of(grid))
    dates = retained(found, job.retention)
    journal = read_journal(job.store.address) or Journal()
    stamps = stamps_of(job, grid)
    tasks = agenda(dates, journal, stamps, redo=redo, retries=job.retries.unreadable)
    if job.retrieval.passes == 2:
        second = read_journal(second_address(job.store.address)) or Journal()
        tasks += second_agenda(dates, (journal, second), stamps, redo=redo)
    return tasks


def run_job(job: Job, *, redo: Collection[str] = ()) -> Account:
    """Make what is new and what has changed; each date is in the store whole or not at all.

    A run may be killed at any moment: the next one goes on where it stopped. Only one run at a time
    works on a series. With nothing to do, nothing is written.

    Parameters
    ----------
    job : Job
    redo : collection of str
        What dates are made anew for besides changed items (`aktes_xr.jobs.stamps.REDO`).

    Returns
    -------
    Account

    Raises
    ------
    StoreBusyError
        Another run works on the series.
    InputError, ConfigError, StacError, StoreError, ClusterError
        What is to be made, or the place for it, cannot be used or reached. Dates that were
        committed before stay.
    """
    _refuse_unknown(redo)
    account = Account(job.store.address)
    begin, exit_code = (time.monotonic(), time.process_time()), _FAILED
    try:
        _run(job, account, redo)
        exit_code = account.exit_code
    except AktesError as error:
        exit_code, account.failure = error.exit_code, str(error)
        raise
    except KeyboardInterrupt as error:
        exit_code, account.failure = getattr(error, "exit_code", _INTERRUPTED), "it was stopped"
        raise
    finally:
        account.seconds = time.monotonic() - begin[0]
        account.processor_s = time.process_time() - begin[1]
        tell(job, account, exit_code=exit_code)
    return account


def _run(job: Job, account: Account, redo: Collection[str]) -> None:
    grid = grid_of(job.region)
    modifier = modifier_for(job.input.sources)
    stamps = stamps_of(job, grid)
    found, account.skipped = find_dates(job.input, box_of(grid))
    dates = retained(found, job.retention)
    with _claimed(job, job.store.address) as store:
        retries = job.retries.unreadable
        tasks = agenda(dates, store.journal, stamps, redo=redo, retries=retries)
        keeps = keeps_brightness(job, store.journal)
        maker = partial(Maker, job, grid, store, stamps=stamps, brightness=keeps)
        _make(job, tasks, account, maker, modifier)
    # Priors are made of what is there: first all dates, then what they say of each other.
    if job.retrieval.passes == 2 and account.remaining == 0:
        first = read_journal(job.store.address)
        if first is None or not first.slots:
            return
        with _claimed(job, second_address(job.store.address)) as store:
            tasks = second_agenda(dates, (first, store.journal), stamps, redo=redo)
            second = SecondPass(open_result(job.store.address), own_stamps(first))
            maker = partial(Maker, job, grid, store, stamps=stamps, second=second)
            _make(job, tasks, account, maker, modifier)


def _claimed(job: Job, address: str) -> AbstractContextManager[SeriesStore]:
    return claim_series(address, backend=job.store.backend, sharded=job.store.sharded)


def _make(
    job: Job,
    tasks: Sequence[Task],
    account: Account,
    maker: Callable[..., Maker],
    modifier: Modifier | None,
) -> None:
    """Work off what there is to do with one series."""
    planned = tally(tasks)
    account.planned = {**account.planned, **planned}
    for what, number in planned.items():
        logger.info("%d date(s), %s", number, what)
    work = [task for task in tasks if task.is_work]
    if job.budget.order == "newest":
        work.reverse()
    account.remaining = len(work)
    left = None if job.budget.dates is None else job.budget.dates - len(account.made)
    if not work or left == 0:
        return
    elevation = elevation_of(job.input.dem, box_of(grid_of(job.region)), modifier)
    with started(job.cluster), heartbeat(job.report, account):
        made = maker(modifier=modifier, elevation=elevation)
        _work_off(job, work[:left], made, account)


def _work_off(job: Job, work: Sequence[Task], maker: Maker, account: Account) -> None:
    """Make one batch after the other, as long as the budget lasts."""
    hours = job.budget.hours
    place = 0
    while place < len(work):
        if hours is not None and time.monotonic() - account.begun > hours * _SECONDS_PER_HOUR:
            logger.info("the budget of %g hours is used up", hours)
            return
        batch = work[place : place + maker.size]
        place += len(batch)
        start = time.monotonic(), time.process_time()
        made = maker.make(batch)
        took = time.monotonic() - start[0], time.process_time() - start[1]
        account.made += made
        account.batches.append((len(batch), *took))
        account.remaining -= len(batch)
        for entry in made:
            logger.info(
                "%s: %s, %.1f %% valid%s",
                entry.key,
                entry.state,
                100.0 * entry.valid_share,
                f" ({entry.reason})" if entry.reason else "",
            )


def _refuse_unknown(redo: Collection[str]) -> None:
    unknown = sorted(set(redo) - set(REDO))
    if unknown:
        raise InputError(f"found redo {unknown[0]!r}, expected one of {', '.join(REDO)}")
