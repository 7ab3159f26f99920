"""The upkeep of a scheduled series: what its job says may leave, and when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from aktes_xr.errors import ConfigError, InputError
from aktes_xr.jobs.config import Job, Retention
from aktes_xr.jobs.dates import Date
from aktes_xr.store.upkeep import Leaving, claim_upkeep

Step = Literal["retain", "compact", "gc"]
STEPS: Final[tuple[Step, ...]] = ("retain", "compact", "gc")
"""In the order in which they make sense."""


def oldest_kept(retention: Retention, now: datetime) -> datetime | None:
    """Return the moment before which dates leave a series, and are not made.

    Parameters
    ----------
    retention : Retention
        Of the job.
    now : datetime
        With a time zone.

    Returns
    -------
    datetime or None
        None where all dates stay.
    """
    return None if retention.days is None else now - timedelta(days=retention.days)


def retained(dates: Sequence[Date], retention: Retention) -> list[Date]:
    """Return the dates that are not too old to be made.

    Parameters
    ----------
    dates : sequence of Date
    retention : Retention
        Of the job.

    Returns
    -------
    list of Date
        In their order.
    """
    oldest = oldest_kept(retention, datetime.now(UTC))
    return [date for date in dates if oldest is None or date.time >= oldest]


def tidy(job: Job, step: Step, *, apply: bool = False) -> list[Leaving]:
    """Take one step of a series' upkeep, while no run can be at work on it.

    Parameters
    ----------
    job : Job
        Its retention says what may leave.
    step : {"retain", "compact", "gc"}
        Have dates beyond the retention leave; remove earlier versions; remove what nothing refers
        to.
    apply : bool
        Do it; unless set, it is only said.

    Returns
    -------
    list of Leaving
        What leaves, or would.

    Raises
    ------
    ConfigError
        Dates are to leave, and the job has no retention.
    StoreNotFoundError
        There is no series yet.
    StoreBusyError
        A run works on it.
    StoreError
        It cannot be read or written.
    """
    now = datetime.now(UTC)
    since = now - timedelta(days=job.retention.history_days)
    oldest = oldest_kept(job.retention, now)
    if step == "retain" and oldest is None:
        raise ConfigError("the job keeps all dates: give [retention] days = N for some to leave")
    with claim_upkeep(job.store.address) as series:
        if step == "retain" and oldest is not None:
            return series.retain(oldest, apply=apply)
        if step == "compact":
            return series.compact(since, apply=apply)
        if step == "gc":
            return series.collect(since, apply=apply)
    raise InputError(f"found step {step!r}, expected one of {', '.join(STEPS)}")
