"""What leaves a series, and that nothing leaves which a reader may look at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import xarray as xr
from test_store_series import KEYS, bucket, entry, names, result, same

from aktes_xr import errors
from aktes_xr.store import open_result
from aktes_xr.store.address import zarr_store
from aktes_xr.store.series import claim_series, read_journal
from aktes_xr.store.upkeep import claim_upkeep

__all__ = ["bucket"]

BETWEEN = datetime(2001, 1, 10, tzinfo=UTC)
"""After the first date, before the second."""


@pytest.fixture(params=["zarr-disk", "zarr-objects", "icechunk-disk", "icechunk-objects"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Any]:
    """Place and back end of a series of two dates, the second one made twice."""
    backend, where = request.param.split("-")
    if backend == "icechunk":
        pytest.importorskip("icechunk", reason="icechunk is not installed")
    place = str(tmp_path / "s")
    if where == "objects":
        place = f"{request.getfixturevalue('bucket')}/{tmp_path.name}/s"
    with claim_series(place, backend=backend) as series:
        series.write(warmer(0.0))
        for number in (0, 1):
            series.commit(number, entry(number, made=now()))
        series.write(warmer(1.0))
        series.commit(1, entry(1, made=now()))
    return place, backend


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def warmer(kelvin: float) -> xr.Dataset:
    # Numbers that do not fit into the metadata, as small chunks of Icechunk do.
    noise = np.random.default_rng(int(kelvin)).normal(300.0, 5.0, (2, 40, 50)).astype(np.float32)
    whole = result()
    cold = whole["surface_temperature"]
    return whole.assign(surface_temperature=cold.copy(data=noise).chunk(cold.chunksizes))


def tidy(
    place: str, step: Literal["retain", "compact", "collect"], moment: datetime, **options: bool
) -> list[Any]:
    with claim_upkeep(place) as series:
        return getattr(series, step)(moment, **options)


def test_nothing_leaves_unless_it_is_asked_for(made: tuple[str, str]) -> None:
    place, _ = made
    later = datetime.now(UTC) + timedelta(days=1)
    before = names(place)
    assert [one.name for one in tidy(place, "retain", BETWEEN, apply=False)] == [KEYS[0]]
    assert len(tidy(place, "compact", later, apply=False)) >= 1
    tidy(place, "collect", later, apply=False)
    assert names(place) == before
    assert open_result(place).sizes["time"] == 2


def test_dates_beyond_the_retention_leave_and_the_rest_stays(made: tuple[str, str]) -> None:
    place, backend = made
    reader = open_result(place)
    tidy(place, "retain", BETWEEN, apply=True)
    again = open_result(place)
    np.testing.assert_array_equal(again["time"], warmer(1.0)["time"][1:])
    np.testing.assert_array_equal(
        again["surface_temperature"], warmer(1.0)["surface_temperature"].isel(time=[1])
    )
    journal = read_journal(place)
    assert journal is not None
    assert list(journal.entries) == [KEYS[1]]
    holes = {"zarr": [0, 1], "icechunk": [0]}[backend]
    assert list(journal.holes) == holes
    if backend == "zarr":
        assert xr.open_zarr(zarr_store(place)).attrs["aktes:retired_slots"] == holes
    # Who has opened it before still sees what was there.
    np.testing.assert_array_equal(
        reader["surface_temperature"].isel(time=0),
        warmer(0.0)["surface_temperature"].isel(time=0),
    )


def test_what_was_superseded_stays_for_its_time_and_then_frees_its_bytes(
    made: tuple[str, str],
) -> None:
    place, backend = made
    ago, later = (datetime.now(UTC) + timedelta(days=days) for days in (-1, 1))
    tidy(place, "retain", BETWEEN, apply=True)
    before = names(place)
    assert tidy(place, "compact", ago, apply=True) == []
    tidy(place, "collect", ago, apply=True)
    assert names(place) == before
    left = tidy(place, "compact", later, apply=True)
    freed = tidy(place, "collect", later, apply=True)
    assert sum(one.size for one in (*left, *freed)) > 16_000
    assert names(place) < before
    if backend == "zarr":
        assert [one.reason for one in left] == ["made anew", "beyond the retention"]
        assert not any("surface_temperature/c/0" in name for name in names(place))
    assert tidy(place, "compact", later, apply=True) == []
    assert tidy(place, "collect", later, apply=True) == []
    np.testing.assert_array_equal(
        open_result(place)["surface_temperature"],
        warmer(1.0)["surface_temperature"].isel(time=[1]),
    )


def test_a_series_grows_on_after_it_was_tidied(made: tuple[str, str]) -> None:
    place, backend = made
    later = datetime.now(UTC) + timedelta(days=1)
    for step, moment in (("retain", BETWEEN), ("compact", later), ("collect", later)):
        tidy(place, step, moment, apply=True)  # type: ignore[arg-type]
    with claim_series(place, backend=backend) as series:  # type: ignore[arg-type]
        series.write(warmer(1.0))
        series.commit(0, entry(0, made=now()))
    same(open_result(place), warmer(1.0))
    journal = read_journal(place)
    assert journal is not None
    assert journal.slots == {"zarr": (3, 2), "icechunk": (0, 1)}[backend]


def test_a_snapshot_that_counted_at_the_moment_stays(tmp_path: Path) -> None:
    pytest.importorskip("icechunk", reason="icechunk is not installed")
    place = tmp_path / "s"
    with claim_series(place, backend="icechunk") as series:
        series.write(warmer(0.0))
        series.commit(0, entry(0))
        reader, moment = open_result(place), datetime.now(UTC)
        series.write(warmer(1.0))
        series.commit(0, entry(0))
    # The reader opened, just before the moment, a snapshot that is older than the moment.
    for step in ("compact", "collect"):
        tidy(str(place), step, moment, apply=True)  # type: ignore[arg-type]
    same(reader, warmer(0.0).isel(time=[0]))


def test_what_a_dead_run_left_is_named_and_removed(tmp_path: Path) -> None:
    place = tmp_path / "s"
    with claim_series(place) as series:
        series.write(result())
        series.commit(0, entry(0))
    before = names(str(place))
    (place / "quality/c/1/0").mkdir(parents=True)
    (place / "quality/c/1/0/0").write_bytes(b"123")
    (place / "zarr.abc.partial").write_bytes(b"12")
    left = tidy(str(place), "collect", datetime.now(UTC), apply=False)
    assert {one.name: one.size for one in left} == {"quality/c/1": 3, "zarr.abc.partial": 2}
    tidy(str(place), "collect", datetime.now(UTC), apply=True)
    assert names(str(place)) == before


def test_a_living_run_keeps_everybody_out(made: tuple[str, str]) -> None:
    place, backend = made
    with (
        claim_series(place, backend=backend),  # type: ignore[arg-type]
        pytest.raises(errors.StoreBusyError),
        claim_upkeep(place),
    ):
        pass


def test_there_must_be_a_series(tmp_path: Path) -> None:
    with (
        pytest.raises(errors.StoreNotFoundError, match="no series at s"),
        claim_upkeep(tmp_path / "s"),
    ):
        pass
    assert not list(tmp_path.iterdir())
