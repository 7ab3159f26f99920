from __future__ import annotations

import json
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from random_bundle import random_bundle

import aktes_xr
from aktes_xr import sensor
from aktes_xr.bench.world import scenes
from aktes_xr.cube import new_cube
from aktes_xr.cube.registration import SHIFTED_PIXELS, band_shift
from aktes_xr.simulate import FieldRecipe, draw_fields
from aktes_xr.store.shifts import BandShiftWarning

REACH = 4


def cube_of(numbers: np.ndarray) -> xr.Dataset:
    dates, _, rows, columns = numbers.shape
    return new_cube(
        numbers,
        time=np.datetime64("2004-07-01") + np.arange(dates),
        y=4_000_000.0 - 90.0 * np.arange(rows),
        x=300_000.0 + 90.0 * np.arange(columns),
        crs="EPSG:32617",
        coordinates={"view_zenith": np.full(dates, 3.0)},
    )


def shifted(numbers: np.ndarray, band: int, step: tuple[int, int]) -> np.ndarray:
    """Move a band of an image and cut off what came in from the other side."""
    moved = numbers.copy()
    moved[band] = np.roll(numbers[band], step, (0, 1))
    return moved[:, REACH:-REACH, REACH:-REACH]


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    own = draw_fields(FieldRecipe(count=12, seed=21, split="test", shape=(96, 96), gap_share=0.3))
    foreign = (scene["tir"].to_numpy()[0] for scene in scenes(6, size=96))
    return [*(np.moveaxis(field.dn, -1, 0) for field in own), *foreign]


def test_a_band_shifted_by_two_pixels_is_found(images: list[np.ndarray]) -> None:
    rng = np.random.default_rng(4)
    steps = [(0, 2), (2, 0), (0, -2), (-2, 0)]
    told = found = 0
    for image in images:
        still = band_shift(cube_of(image[np.newaxis])).compute()[0]
        assert not (still >= SHIFTED_PIXELS).any()
        if still.isnull().any():
            # Too little structure to tell: no alarm, and no all-clear either.
            continue
        band = int(rng.integers(5))
        moved = shifted(image, band, steps[int(rng.integers(4))])
        distance = band_shift(cube_of(moved[np.newaxis])).compute()[0].to_numpy()
        told += 1
        found += bool(abs(distance[band] - 2.0) < 0.5)
        assert not (np.delete(distance, band) >= SHIFTED_PIXELS).any()
    assert told >= 12
    assert found >= 0.95 * told


def test_noise_gives_no_verdict_and_no_alarm() -> None:
    rng = np.random.default_rng(6)
    kelvin = np.float32(295.0) + rng.normal(0.0, 0.3, (4, 128, 128, 5))
    numbers = sensor.radiance_to_dn(sensor.brightness_temperature_to_radiance(kelvin))
    numbers[0] = 0
    distance = band_shift(cube_of(np.moveaxis(numbers, -1, 1))).compute()
    assert distance.dtype == np.float32
    assert distance.isnull().all()


def test_neither_chunks_nor_other_dates_change_a_bit(images: list[np.ndarray]) -> None:
    tiled = np.tile(images[1], (1, 3, 3))[np.newaxis, :, :260, :250]
    other = np.tile(images[0], (1, 3, 3))[np.newaxis, :, :260, :250]
    both = cube_of(np.concatenate([tiled, other]))
    whole = band_shift(both).compute()
    cut = band_shift(both.chunk(time=1, band=2, y=37, x=64)).compute()
    xr.testing.assert_identical(whole, cut)
    xr.testing.assert_identical(band_shift(both.isel(time=[1])).compute(), whole.isel(time=[1]))
    radiance = both.assign(tir=aktes_xr.calibration.radiance(both))
    np.testing.assert_allclose(band_shift(radiance).compute(), whole, atol=0.05)


def test_the_writer_warns_and_names_the_band(images: list[np.ndarray], tmp_path: Path) -> None:
    numbers = np.stack([shifted(images[0], 2, step) for step in ((0, 0), (0, 2))])
    bundle = random_bundle(tmp_path / "bundle")

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("computed")

    with dask.config.set(scheduler=refuse):
        result = aktes_xr.retrieve(cube_of(numbers).chunk(time=1), bundle=bundle, band_shift=True)
    with pytest.warns(BandShiftWarning, match=r"1 date\(s\) \(2004-07-02T00:00:00: B12 by 2"):
        aktes_xr.write_result(result, tmp_path / "out.zarr")
    stored = aktes_xr.open_result(tmp_path / "out.zarr")
    named = json.loads(stored.attrs["shifted_bands"])
    assert named.keys() == {"2004-07-02T00:00:00"}
    assert named["2004-07-02T00:00:00"].keys() == {"B12"}
    assert stored["band_shift"].dims == ("time", "band")
    kept = aktes_xr.mask(stored, "cloud")
    assert kept["band_shift"].dims == ("time", "band")
    well = aktes_xr.retrieve(cube_of(numbers[:1]), bundle=bundle, band_shift=True)
    aktes_xr.write_result(well, tmp_path / "well.zarr")
    assert json.loads(aktes_xr.open_result(tmp_path / "well.zarr").attrs["shifted_bands"]) == {}
