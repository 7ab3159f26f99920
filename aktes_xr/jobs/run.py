"""A scheduled series: every date of a region once, in as many runs as it takes."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path

from aktes_xr.documents import write_json
from aktes_xr.errors import AktesError, ConfigError, InputError
from aktes_xr.jobs.account import DONE, PARTIAL, Account, write_text
from aktes_xr.jobs.agenda import Task, agenda, tally
from aktes_xr.jobs.batch import Maker, SecondPass
from aktes_xr.jobs.cluster import started
from aktes_xr.jobs.cluster_resource import cluster_resource
from aktes_xr.jobs.config import Job
from aktes_xr.jobs.dates import box_of, find_dates, grid_of
from aktes_xr.jobs.notice import notify, webhook_of
from aktes_xr.jobs.retrieval import elevation_of, modifier_of
from aktes_xr.jobs.second_pass import own_stamps, second_address, second_agenda
from aktes_xr.jobs.stamps import REDO, stamps_of
from aktes_xr.jobs.upkeep import retained
from aktes_xr.report import store_page
from aktes_xr.stac import sources
from aktes_xr.stac.signing import Modifier
from aktes_xr.store import open_result
from aktes_xr.store.address import parse_address
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
        _tell(job, account, exit_code)
    return account


def modifier_for(names: Sequence[str]) -> Modifier | None:
    """Return the one signing function of several sources.

    Parameters
    ----------
    names : sequence of str

    Returns
    -------
    callable or None

    Raises
    ------
    ConfigError
        They sign in different ways.
    """
    found = [modifier for modifier in map(modifier_of, names) if modifier is not None]
    if any(modifier is not found[0] for modifier in found):
        raise ConfigError(
            f"the sources {', '.join(names)} sign their links differently: make a job of each"
        )
    return found[0] if found else None


def _run(job: Job, account: Account, redo: Collection[str]) -> None:
    grid = grid_of(job.region)
    modifier = modifier_for(job.input.sources)
    stamps = stamps_of(job, grid)
    found, account.skipped = find_dates(job.input, box_of(grid))
    dates = retained(found, job.retention)
    with _claimed(job, job.store.address) as store:
        retries = job.retries.unreadable
        tasks = agenda(dates, store.journal, stamps, redo=redo, retries=retries)
        _make(job, tasks, account, partial(Maker, job, grid, store, stamps=stamps), modifier)
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
    with started(job.cluster), _heartbeat(job, account):
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


@contextmanager
def _heartbeat(job: Job, account: Account) -> Iterator[None]:
    """Say now and then that the run lives, also while one batch takes long."""
    ended = threading.Event()

    alive = job.report.alive

    def beat() -> None:
        begin = time.monotonic()
        while not ended.wait(job.report.heartbeat_s):
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


def _tell(job: Job, account: Account, exit_code: int) -> None:
    """Write the files that the job asks for, and tell whom it asks to tell."""
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


def _refuse_unknown(redo: Collection[str]) -> None:
    unknown = sorted(set(redo) - set(REDO))
    if unknown:
        raise InputError(f"found redo {unknown[0]!r}, expected one of {', '.join(REDO)}")


def check_job(job: Job) -> dict[str, str]:
    """Check all of a job that can be checked without running it.

    Parameters
    ----------
    job : Job

    Returns
    -------
    dict of str
        What was checked, and what was found.

    Raises
    ------
    AktesError
        The first thing that cannot be used.
    """
    grid = grid_of(job.region)
    rows, columns = grid.shape
    box = ", ".join(f"{edge:.3f}" for edge in box_of(grid))
    found = {
        "grid": f"EPSG:{grid.epsg}, {rows} x {columns} pixels of {grid.pixel[0]:g} m",
        "box": f"{box} degrees",
    }
    modifier_for(job.input.sources)
    for name in job.input.sources:
        if "://" not in name and name not in sources() and not Path(name).exists():
            raise ConfigError(
                f"there is no source, file or folder {name!r}; expected one of "
                f"{', '.join(sorted(sources()))}, an address or a path"
            )
    dem = job.input.dem
    if dem is not None and "://" not in dem and dem not in sources() and not os.path.exists(dem):
        raise ConfigError(f"there is no elevation raster or source {dem!r}")
    found["sources"] = ", ".join(job.input.sources)
    if webhook_of(job.notify) is not None:
        found["webhook"] = f"address in {job.notify.webhook_env}"
    if job.cluster.kind == "kubernetes":
        found["cluster"] = (
            f"{cluster_resource(job.cluster)['spec']['worker']['replicas']} worker(s)"
        )
    found["bundle"] = stamps_of(job, grid)["bundle"] or "none needed"
    journal = read_journal(job.store.address)
    found["store"] = "not there yet" if journal is None else f"{len(journal.entries)} date(s)"
    if job.retrieval.passes == 2:
        found["second pass"] = parse_address(second_address(job.store.address)).name
    return found
