"""The second pass over a series: who speaks for a pixel, and what comes of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from random_bundle import random_bundle

import aktes_xr
from aktes_xr.cube import new_cube
from aktes_xr.cube.quality import QualityFlag
from aktes_xr.errors import GridError, InputError, MissingVariableError
from aktes_xr.models import Bundle
from aktes_xr.retrieval import retrieve
from aktes_xr.retrieval.series_prior import BACKGROUND, OFFERED, UNCERTAINTY, USED, series_prior
from aktes_xr.retrieval.two_pass import with_brightness
from aktes_xr.retrieval.witnesses import ERAS, Seasons, observations, witnesses

SHAPE = (40, 46)
TIMES = ("2003-06-10", "2003-07-20", "2004-01-25", "2004-07-05", "2005-01-10", "2005-06-25")
SUMMER = [0, 1, 3, 5]
GREY = 0.97


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return random_bundle(tmp_path_factory.mktemp("bundle") / "random")


def cube(times: tuple[str, ...] = TIMES, *, shape: tuple[int, int] = SHAPE) -> xr.Dataset:
    rng = np.random.default_rng(1)
    base = np.array([1362, 1423, 1496, 1709, 1802], float)[:, None, None]
    dn = base * rng.uniform(0.9, 1.1, (len(times), 5, *shape))
    ds = new_cube(
        dn.astype(np.uint16),
        time=np.array(times, "M8[ns]"),
        y=4_000_000.0 - 90.0 * np.arange(shape[0]),
        x=300_000.0 + 90.0 * np.arange(shape[1]),
        crs="EPSG:32617",
    )
    ds["cloud"] = (("time", "y", "x"), rng.random((len(times), *shape)) < 0.02)
    return ds


def first_pass(
    emissivity: dict[str, float], *, sigma: float = 0.01, shape: tuple[int, int] = (3, 4)
) -> xr.Dataset:
    """A result of grey ground whose emissivity on each date is given."""
    times, values = np.array(list(emissivity), "M8[ns]"), list(emissivity.values())
    spectral = np.broadcast_to(np.array(values)[:, None, None, None], (len(values), 5, *shape))
    image = np.zeros((len(values), *shape), np.uint16)
    bands, plane = ("time", "band", "y", "x"), ("time", "y", "x")
    return xr.Dataset(
        {
            "emissivity": (bands, spectral.astype(np.float32)),
            "emissivity_uncertainty": (bands, np.full_like(spectral, sigma, np.float32)),
            "quality": (plane, image),
            "conditions": (plane, image.copy()),
        },
        coords={"time": times},
    )


def priors(first: xr.Dataset, brightness: xr.DataArray | None = None) -> np.ndarray:
    seasons = Seasons.of(first["time"].dt.month.values.tolist())
    observed = observations(first, brightness)
    kept = witnesses(observed, seasons)
    months = first["time"].dt.month.values.tolist()
    return np.asarray(series_prior(observed, kept, seasons, months))


def test_a_date_is_not_its_own_witness() -> None:
    found = priors(first_pass({"2003-06-10": 0.960, "2003-07-10": 0.970, "2004-06-12": 0.966}))
    means = [(0.970 + 0.966) / 2, (0.960 + 0.966) / 2, (0.960 + 0.970) / 2]
    np.testing.assert_allclose(found[:, 0, 0, 0], means, atol=2e-5)
    assert (found[:, USED] == 2).all()
    alone = priors(first_pass({"2003-06-10": 0.96}))
    assert np.isnan(alone[:, :BACKGROUND]).all()
    assert (alone[:, OFFERED] == 0).all()


def test_another_season_has_no_say() -> None:
    dates = {"2003-06-10": 0.95, "2003-12-20": 0.97, "2004-01-25": 0.97, "2004-06-20": 0.952}
    found = priors(first_pass(dates))
    np.testing.assert_allclose(found[:, 0, 0, 0], [0.952, 0.97, 0.97, 0.95], atol=2e-5)
    assert (found[:, OFFERED] == 1).all()


def test_the_year_is_round() -> None:
    seasons = Seasons.of([12, 1, 4])
    assert [seasons.months[slot] for slot in seasons.around(1)] == [1, 12]
    assert [seasons.months[slot] for slot in seasons.around(11)] == [1, 12]


def test_changed_ground_has_no_prior_and_is_in_none() -> None:
    dates = {"2003-06-10": 0.97, "2003-07-10": 0.971, "2004-06-12": 0.80, "2004-07-12": 0.969}
    found = priors(first_pass(dates))
    assert np.isnan(found[2, :BACKGROUND]).all()
    assert (found[2, USED] == 0).all()
    assert (found[2, OFFERED] == 3).all()
    np.testing.assert_allclose(found[0, 0], (0.971 + 0.969) / 2, atol=2e-5)
    # What lasts is known again by what came after it.
    dates |= {"2005-06-11": 0.801}
    np.testing.assert_allclose(priors(first_pass(dates))[2, 0], 0.801, atol=2e-5)


def test_surer_dates_count_for_more_and_doubtful_ones_for_nothing() -> None:
    first = first_pass({"2003-06-10": 0.97, "2003-07-10": 0.96, "2004-06-12": 0.975})
    first["emissivity_uncertainty"][1] = 0.03
    weighed = (0.96 / 9 + 0.975) / (1 / 9 + 1)
    np.testing.assert_allclose(priors(first)[0, 0], weighed, atol=2e-5)
    first["quality"][1] = int(QualityFlag.CLOUD)
    np.testing.assert_allclose(priors(first)[0, 0], 0.975, atol=2e-5)
    assert (priors(first)[1, USED] == 0).all()
    first["quality"][1] = 0
    first["closure_residual"] = (
        first["quality"].astype(np.float32) + np.float32([0, 9, 0])[:, None, None]
    )
    assert (np.abs(priors(first)[0, 0] - 0.975) < 1e-3).all()


def test_the_error_of_a_mean_does_not_vanish() -> None:
    few = first_pass({f"2003-06-{day:02d}": GREY for day in (1, 2)})
    many = first_pass(
        {f"2003-0{month}-{day:02d}": GREY for month in (5, 6, 7) for day in range(1, 4)}
    )
    two, nine = (priors(one)[0, UNCERTAINTY].max() for one in (few, many))
    assert 0.7 * two < nine < two
    scattered = first_pass({"2003-06-01": GREY, "2003-06-02": 0.965, "2003-06-03": 0.975})
    steady = first_pass({"2003-06-01": GREY, "2003-06-02": GREY, "2003-06-03": GREY})
    assert priors(scattered)[0, UNCERTAINTY, 0, 0] > priors(steady)[0, UNCERTAINTY, 0, 0]


def test_any_number_of_dates_leaves_a_few_witnesses() -> None:
    dates = {f"{year}-07-{day:02d}": GREY for year in range(2001, 2021) for day in (1, 9, 17, 25)}
    first = first_pass(dates)
    seasons = Seasons.of([7] * len(dates))
    kept = witnesses(observations(first), seasons)
    assert kept.shape[0] == ERAS
    found = priors(first)
    assert (found[:, OFFERED] >= ERAS - 1).all()
    # The surest of each run of years is the one that is kept.
    first["emissivity"][40] = 0.98
    first["emissivity_uncertainty"][40] = 0.002
    numbers = np.asarray(witnesses(observations(first), seasons))[:, -1, 0, 0]
    assert 40 in numbers.tolist()


def test_a_background_of_the_other_clear_dates() -> None:
    first = first_pass({"2003-06-10": GREY, "2003-07-10": GREY, "2004-06-12": GREY})
    kelvin = np.float32([290.0, 300.0, 310.0])[:, None, None]
    brightness = first["quality"].astype(np.float32) + kelvin
    first["quality"][0] = int(QualityFlag.CLOUD)
    found = priors(first, brightness)
    np.testing.assert_allclose(found[:, BACKGROUND, 0, 0], [305.0, 310.0, 300.0])


def test_it_is_lazy_and_chunks_change_no_bit(bundle: Bundle) -> None:
    ds = cube()
    run = partial(retrieve, method="teacher", bundle=bundle, passes=2)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was computed")

    with dask.config.set(scheduler=refuse):
        lazy = run(ds.chunk())
    whole = lazy.compute()
    assert whole.attrs["passes"] == 2
    assert (whole["prior_dates"] <= whole["other_dates"]).all()
    for chunks in ({"time": 1, "y": 17, "x": 23}, {"time": 4, "band": 1, "y": 40, "x": 11}):
        xr.testing.assert_identical(run(ds.chunk(chunks)).compute(), whole)


def test_what_changed_is_as_if_alone(bundle: Bundle) -> None:
    ds = cube()
    alone = retrieve(ds, method="teacher", bundle=bundle).compute()
    first = alone.assign(emissivity=alone["emissivity"].copy())
    first["emissivity"][3, :, :20] -= 0.3
    series = retrieve(ds, method="teacher", bundle=bundle, passes=2, first=first).compute()
    for name in ("surface_temperature", "emissivity", "emissivity_uncertainty"):
        changed = series[name].isel(time=3, y=slice(20))
        xr.testing.assert_equal(changed, alone[name].isel(time=3, y=slice(20)))
        assert not series[name].isel(time=0).equals(alone[name].isel(time=0))
    sigma = "surface_temperature_uncertainty"
    assert bool((series[sigma] >= 0.89 * alone[sigma]).where(alone[sigma].notnull(), True).all())


def test_a_first_pass_from_a_store(bundle: Bundle, tmp_path: Path) -> None:
    ds = cube()
    aktes_xr.write_result(retrieve(ds, method="teacher", bundle=bundle), tmp_path / "first.zarr")
    first = aktes_xr.open_result(tmp_path / "first.zarr")
    run = partial(retrieve, method="teacher", bundle=bundle, passes=2)
    on_the_way = run(ds).compute()
    one = run(ds.isel(time=[3]), first=first)
    aktes_xr.write_result(one, tmp_path / "second.zarr")
    stored = aktes_xr.open_result(tmp_path / "second.zarr")
    for name in ("surface_temperature", "emissivity", "prior_dates", "other_dates"):
        np.testing.assert_array_equal(stored[name], on_the_way[name].isel(time=[3]))


def test_a_first_pass_that_keeps_brightness_gives_a_background(
    bundle: Bundle, tmp_path: Path
) -> None:
    ds = cube().chunk(time=1, y=20, x=20)
    run = partial(retrieve, method="teacher", bundle=bundle)
    made = with_brightness(run(ds), ds)
    aktes_xr.write_result(made, tmp_path / "first.zarr")
    first = aktes_xr.open_result(tmp_path / "first.zarr")
    assert first["brightness_temperature"].attrs["units"] == "K"
    one = run(ds.isel(time=[3]), passes=2, first=first)["background"].compute()
    on_the_way = run(ds, passes=2)["background"].isel(time=[3]).compute()
    assert bool(one.notnull().any())
    np.testing.assert_array_equal(one, on_the_way)
    assert "background" not in run(ds, passes=2, first=first.drop_vars("brightness_temperature"))


def test_a_given_prior_stays_where_the_series_has_none(bundle: Bundle) -> None:
    ds = cube(("2003-06-10", "2004-01-25"))
    bands = ("band", "y", "x")
    ds["emissivity_prior"] = (bands, np.full((5, *SHAPE), 0.96, np.float32), {"units": "1"})
    run = partial(retrieve, method="teacher", bundle=bundle)
    xr.testing.assert_equal(
        run(ds, passes=2).compute()["emissivity"], run(ds).compute()["emissivity"]
    )


def test_the_prior_of_a_date_is_that_date_s(bundle: Bundle) -> None:
    ds = cube()
    rng = np.random.default_rng(3)
    values = rng.uniform(0.9, 0.99, (len(TIMES), 5, *SHAPE)).astype(np.float32)
    dated = ds.assign(emissivity_prior=(("time", "band", "y", "x"), values, {"units": "1"}))
    run = partial(retrieve, method="teacher", bundle=bundle)
    together = run(dated.chunk(time=3, y=16, x=46)).compute()
    for date in range(len(TIMES)):
        one = ds.isel(time=[date])
        one["emissivity_prior"] = (("band", "y", "x"), values[date], {"units": "1"})
        alone = run(one).compute()
        xr.testing.assert_equal(together["emissivity"].isel(time=[date]), alone["emissivity"])


def test_what_cannot_be_is_refused(bundle: Bundle) -> None:
    ds = cube(("2003-06-10", "2003-07-10"))
    run = partial(retrieve, method="teacher", bundle=bundle)
    first = run(ds)
    with pytest.raises(InputError, match="expected 1 or 2"):
        run(ds, passes=3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="takes no prior"):
        retrieve(ds.assign(water_vapor=("time", [9.0, 9.0], {"units": "kg m-2"})),
                 method="split_window", passes=2)  # fmt: skip
    with pytest.raises(InputError, match="passes=1"):
        run(ds, first=first)
    with pytest.raises(InputError, match="lacks 2003-07-10"):
        run(ds, passes=2, first=first.isel(time=[0]))
    with pytest.raises(MissingVariableError, match="emissivity"):
        run(ds, passes=2, first=first.drop_vars("emissivity"))
    with pytest.raises(GridError):
        run(ds, passes=2, first=first.isel(y=slice(20)))


def test_what_lies_in_memory_is_retrieved_twice_as_what_is_read(bundle: Bundle) -> None:
    ds = cube()
    height = 300.0 + 40.0 * np.sin(np.arange(SHAPE[1], dtype=np.float32) / 5.0)
    ds["elevation"] = (("y", "x"), np.broadcast_to(height, SHAPE).copy(), {"units": "m"})
    # Chunked after it was read, a plane without time has tasks that dated ones do not share.
    lazy = retrieve(ds.chunk(time=1, y=20, x=46), bundle=bundle, passes=2).compute()
    xr.testing.assert_equal(lazy, retrieve(ds, bundle=bundle, passes=2).compute())
