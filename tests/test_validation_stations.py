"""Stations: their files, the temperature of fluxes, and a planted bias that is found again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyproj
import pytest
import xarray as xr
from placed_cubes import PLACE, cube_at
from real_data import real_files

from aktes_xr.errors import InputError, MissingVariableError, OverlapError, ShapeError
from aktes_xr.validation import (
    Selection,
    Station,
    compare,
    pair_stations,
    read_stations,
)
from aktes_xr.validation.broadband import (
    STEFAN_BOLTZMANN,
    broadband_emissivity,
    temperature_from_fluxes,
)

pytest.importorskip("pvlib", reason="readers of SURFRAD and BSRN")
# pvlib's readers use options of pandas that are to change.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:pvlib")


def fluxes(temperature: np.ndarray, emissivity: float, downward: float = 300.0) -> np.ndarray:
    """Upward flux of ground at a temperature, by hand."""
    return emissivity * STEFAN_BOLTZMANN * temperature**4 + (1 - emissivity) * downward


def test_temperature_of_fluxes_is_the_one_they_were_made_from() -> None:
    kelvin = np.array([250.0, 300.0, 330.0])
    found = temperature_from_fluxes(fluxes(kelvin, 0.96), 300.0, 0.96)
    np.testing.assert_allclose(found, kelvin, atol=1e-9)
    assert np.isnan(temperature_from_fluxes(1.0, 300.0, 0.96))
    with pytest.raises(InputError, match="broadband emissivities"):
        temperature_from_fluxes(400.0, 300.0, 1.2)


def test_broadband_emissivity_by_the_published_coefficients() -> None:
    assert broadband_emissivity(np.ones(5)) == pytest.approx(0.995)
    assert broadband_emissivity([0.8, 0.8, 0.8, 0.95, 0.96]) == pytest.approx(0.90871)
    with pytest.raises(ShapeError, match="five bands"):
        broadband_emissivity(np.ones(4))


@pytest.mark.parametrize(
    ("file", "emissivity", "median"),
    [("surfrad-slv16001.dat", 0.97, 259.7), ("bon11043.dat", 0.975, 268.7)],
)
def test_surfrad_days_have_their_known_medians(file: str, emissivity: float, median: float) -> None:
    (station,) = read_stations([real_files("station") / file])
    assert station.longitude < 0
    kelvin = temperature_from_fluxes(
        station.records["longwave_up"], station.records["longwave_down"], emissivity
    )
    assert float(np.median(kelvin)) == pytest.approx(median, abs=0.3)


def columns(cells: dict[int, str]) -> str:
    """Write a line whose texts end before the given columns."""
    line = [" "] * max(cells)
    for end, text in cells.items():
        line[end - len(text) : end] = text
    return "".join(line)


def bsrn_file(path: Path) -> Path:
    """Write a station-to-archive file of two minutes in the columns that its format asks for."""
    lines = [
        "*U0001",
        " 21  7 2004  1",
        "*U0004",
        " -1 -1 -1",
        " 11 12",
        "a street",
        f"{0:20}0",
        f"{0:15}0",
    ]
    # The format counts from the south pole, and from 180 degrees west.
    lines += [" 133.600 187.400  120 07690", "-1 -1 -1", " -1 -1", "*U0100"]
    for minute in range(2):
        lines.append(columns({3: "3", 9: str(641 + minute), 16: "500", 39: "600"}))
        lines.append(columns({16: "90", 39: "350", 64: "20.0", 70: "50.0", 75: "990"}))
    lines.append("*U0300")
    lines += [columns({3: "3", 9: str(641 + m), 16: "90", 38: str(470 + m)}) for m in range(2)]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path


def test_a_bsrn_file_gives_both_fluxes(tmp_path: Path) -> None:
    (station,) = read_stations([bsrn_file(tmp_path / "car0704.dat")])
    assert (station.name, station.latitude, station.longitude) == (
        "BSRN 21",
        pytest.approx(43.6),
        pytest.approx(7.4),
    )
    assert station.records["longwave_up"].tolist() == [470.0, 471.0]
    assert station.records["longwave_down"].tolist() == [350.0, 350.0]
    # Labels are the beginnings of minutes.
    assert station.records.index[0] == pd.Timestamp("2004-07-03T10:41:30")


def test_csv_of_two_stations(tmp_path: Path) -> None:
    path = tmp_path / "sites.csv"
    path.write_text(
        "# two stations\n"
        "station,time,latitude,longitude,surface_temperature\n"
        "a,2004-07-03T10:40,43.6,7.4,301.0\n"
        "a,2004-07-03T12:50+02:00,43.6,7.4,303.0\n"
        "b,2004-07-03T10:40,43.7,7.5,299.0\n",
        encoding="utf-8",
    )
    first, second = read_stations([path])
    assert (first.name, first.latitude, first.longitude) == ("a", 43.6, 7.4)
    assert list(first.records.index) == [
        pd.Timestamp("2004-07-03T10:40"),
        pd.Timestamp("2004-07-03T10:50"),
    ]
    assert not first.has_fluxes
    assert second.records["surface_temperature"].tolist() == [299.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,latitude\n2004-07-03,43\n", "expected time, latitude, longitude"),
        ("time,latitude,longitude,surface_temperature\nsoon,43,7,300\n", "cannot be read"),
        ("time,latitude,longitude,surface_temperature\n2004-07-03,99,7,300\n", "latitude 99"),
        ("time,latitude,longitude,surface_temperature\n2004-07-03,43,7,27\n", "expected kelvin"),
    ],
)
def test_a_csv_that_breaks_the_form_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "site.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_stations([path])


def test_a_file_of_neither_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.dat"
    path.write_text("nothing\nof the kind\n", encoding="utf-8")
    with pytest.raises(InputError, match="begins neither as a SURFRAD"):
        read_stations([path])


def series(dates: int, *, seed: int = 0) -> xr.Dataset:
    """A retrieved series with noise of .5 K at each date, and an emissivity."""
    rng = np.random.default_rng(seed)
    times = [str(np.datetime64("2004-01-03T10:41") + 8 * 1440 * n) for n in range(dates)]
    cube = cube_at(dates=times, shape=(12, 14), chunk=12, elevation=False)
    true = 290.0 + 10 * np.sin(2 * np.pi * np.arange(dates) / 46)[:, None, None]
    noise = rng.normal(0.0, 0.5, (dates, 1, 1))
    ds = cube.drop_vars("tir").assign_coords(
        sun_zenith=("time", np.where(np.arange(dates) % 2, 30.0, 120.0))
    )
    image = ("time", "y", "x")
    values = np.broadcast_to(true + noise, (dates, 12, 14)).astype("float32")
    ds["surface_temperature"] = (image, values)
    ds["surface_temperature_uncertainty"] = (image, np.full_like(values, 0.5))
    ds["emissivity"] = (("time", "band", "y", "x"), np.full((dates, 5, 12, 14), 0.97, "float32"))
    ds["quality"] = (image, np.zeros(values.shape, "uint16"))
    ds["true"] = ("time", true[:, 0, 0])
    return ds.rio.write_crs("EPSG:32632")


def place_of(ds: xr.Dataset, row: int, column: int) -> tuple[float, float]:
    to_degrees = pyproj.Transformer.from_crs(ds.rio.crs, 4326, always_xy=True)
    longitude, latitude = to_degrees.transform(float(ds["x"][column]), float(ds["y"][row]))
    return latitude, longitude


def station_of(ds: xr.Dataset, name: str, at: tuple[int, int], bias: float) -> Station:
    """A station whose fluxes are those of the true ground, less a bias, around each overpass."""
    emissivity = float(broadband_emissivity(np.full(5, 0.97)))
    kelvin = np.repeat(ds["true"].to_numpy() - bias, 3)
    minutes = np.arange(-1, 2) * np.timedelta64(60, "s")
    times = (ds["time"].to_numpy()[:, np.newaxis] + minutes).ravel()
    records = pd.DataFrame(
        {"longwave_up": fluxes(kelvin, emissivity), "longwave_down": 300.0},
        index=pd.DatetimeIndex(times),
    )
    return Station(name, *place_of(ds, *at), records)


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_bias_is_found_within_its_interval(seed: int) -> None:
    ds = series(60, seed=seed)
    stations = [station_of(ds, f"s{n}", (2 + 2 * n, 3 + 2 * n), 0.3) for n in range(3)]
    pairs, sites = pair_stations(ds, stations)
    found = compare(pairs)
    assert found.overall.n == len(sites) == 180
    assert found.overall.bias_low < 0.3 < found.overall.bias_high
    assert found.overall.bias_high - found.overall.bias_low < 0.6
    assert {"day", "night", "January", "s0", "s1", "s2"} <= set(found.strata)
    assert found.strata["day"].n == 90
    # The stated half kelvin is the true spread of the errors about a bias of .3 K.
    assert found.overall.coverage68 == pytest.approx(0.6, abs=0.15)


def test_an_interval_of_shared_errors_is_wider_than_of_single_ones() -> None:
    """Three stations under one noise know no more than one."""
    ds = series(60)
    one = compare(pair_stations(ds, [station_of(ds, "a", (3, 3), 0.3)])[0]).overall
    naive = 1.96 * 0.5 / 60**0.5
    assert 0.5 * naive < (one.bias_high - one.bias_low) / 2 < 3 * naive


def test_only_homogeneous_and_clear_windows_count() -> None:
    ds = series(4)
    ds["quality"][0, 2:6, 2:6] = 4  # cloud
    ds["surface_temperature"][1, 3, 4] += 5.0
    station = station_of(ds, "a", (3, 3), 0.0)
    pairs, sites = pair_stations(ds, [station], Selection(max_spread_k=1.0))
    assert pairs.left_out == {"cloud": 1, "surroundings vary by over 1 K": 1}
    assert [site.pixels for site in sites] == [9, 9]


def test_no_common_ground_or_time_is_said_with_both_extents() -> None:
    ds = series(3)
    away = station_of(ds, "far", (3, 3), 0.0)
    away = Station("far", PLACE[0] + 5.0, PLACE[1], away.records)
    with pytest.raises(OverlapError, match=r"far \(48\.600, 7\.400\).*covers latitudes 43\.5"):
        pair_stations(ds, [away])
    late = station_of(ds, "late", (3, 3), 0.0)
    late.records.index = late.records.index + pd.Timedelta(days=1)
    with pytest.raises(OverlapError, match=r"late from 2004-01-04 10:40"):
        pair_stations(ds, [late])


def test_fluxes_need_an_emissivity() -> None:
    ds = series(2)
    station = station_of(ds, "a", (3, 3), 0.0)
    with pytest.raises(MissingVariableError, match="give a broadband one"):
        pair_stations(ds.drop_vars("emissivity"), [station])
    pairs, _ = pair_stations(ds.drop_vars("emissivity"), [station], emissivity=0.95)
    assert pairs.truth.size == 2
