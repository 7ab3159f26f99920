"""Texture of images, and measured images that are or are not at hand."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from aktes_xr.bench.realism import LAGS, STATISTICS, measured_images, run, statistics
from aktes_xr.errors import InputError


def test_white_noise_differs_alike_at_all_distances():
    noise = np.random.default_rng(0).standard_normal((200, 200))
    found = statistics(noise)
    assert found.shape == (len(STATISTICS),)
    np.testing.assert_allclose(found[: len(LAGS)], np.sqrt(2.0), rtol=0.02)


def test_a_ramp_differs_in_proportion_to_distance():
    ramp = np.repeat(np.arange(100.0)[:, np.newaxis], 100, axis=1)
    found = statistics(ramp)
    # Along the rows it rises by the lag, across them not at all.
    np.testing.assert_allclose(found[: len(LAGS)], np.array(LAGS) / np.sqrt(2.0), rtol=0.2)
    assert found[len(LAGS)] == pytest.approx(1.0)
    assert found[-1] == 0.0


def test_gaps_do_not_count():
    noise = np.random.default_rng(1).standard_normal((120, 120))
    holes = noise.copy()
    holes[:, 60:] = np.nan
    np.testing.assert_allclose(statistics(holes), statistics(noise[:, :60]), rtol=0.05)


def test_measured_images_are_averaged_to_the_sensors_pixels(tmp_path):
    values = 290.0 + np.random.default_rng(2).standard_normal((90, 90)).astype(np.float32)
    values[:10] = np.nan
    with rasterio.open(
        tmp_path / "lst.tif",
        "w",
        driver="GTiff",
        width=90,
        height=90,
        count=1,
        dtype="float32",
        crs="EPSG:32611",
        transform=from_origin(500_000.0, 4_000_000.0, 45.0, 45.0),
        nodata=np.nan,
    ) as target:
        target.write(values, 1)
    (image,) = measured_images(tmp_path).values()
    assert image.shape == (45, 45)
    assert np.isnan(image[:4]).all()
    assert np.nanstd(image) < 0.7


def test_missing_images_are_named(tmp_path):
    with pytest.raises(InputError, match="--data"):
        run(quick=True)
    with pytest.raises(InputError, match="at least one image"):
        run(quick=True, data=str(tmp_path))
