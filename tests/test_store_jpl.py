from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import aktes_xr
from aktes_xr.cube.conditions import ConditionFlag
from aktes_xr.cube.quality import QualityFlag
from aktes_xr.errors import InputError, MissingVariableError
from aktes_xr.store.jpl import SCALED, as_jpl

NAN = np.nan
# temperature, its sigma, emissivities, their sigma, quality, conditions, and the eight pairs.
PIXELS = (
    (300.0, 0.5, (0.97, 0.97, 0.97, 0.98, 0.98), 0.005, 0, 0, (0, 0, 0, 1, 1, 3, 3, 3)),
    (301.5, 1.2, (0.80, 0.82, 0.85, 0.94, 0.95), 0.012, 0, 0, (0, 0, 0, 1, 1, 1, 2, 2)),
    (299.0, 1.7, (0.70, 0.72, 0.75, 0.94, 0.95), 0.017, QualityFlag.OUT_OF_DOMAIN, 0,
     (1, 0, 0, 1, 1, 0, 1, 1)),
    (280.0, 3.0, (0.90, 0.92, 0.93, 0.94, 0.95), 0.030, 0, ConditionFlag.NEAR_CLOUD,
     (1, 0, 2, 1, 1, 2, 0, 0)),
    (270.0, 0.2, (0.98,) * 5, 0.004, QualityFlag.CLOUD, 0, (1, 0, 3, 1, 1, 3, 3, 3)),
    (NAN, NAN, (NAN,) * 5, NAN, QualityFlag.CLOUD, 0, (2, 0, 3, 0, 0, 0, 0, 0)),
    (NAN, NAN, (NAN,) * 5, NAN, QualityFlag.FILL, 0, (3, 1, 0, 0, 0, 0, 0, 0)),
    (370.0, 20.0, (0.4,) * 5, 0.2, QualityFlag.SATURATED, 0, (1, 2, 0, 1, 1, 3, 0, 0)),
    (290.0, 0.9, (0.98,) * 5, 0.004, QualityFlag.NOT_CONVERGED, 0, (1, 0, 0, 0, 1, 3, 3, 3)),
    (290.0, 0.01, (0.98,) * 5, 0.004, 0, ConditionFlag.PROBABLY_CLOUDY,
     (1, 0, 1, 1, 1, 3, 3, 3)),
)  # fmt: skip


def result() -> xr.Dataset:
    """Two rows of the pixels above."""
    shape = (1, 2, len(PIXELS))

    def image(place: int, dtype: type) -> np.ndarray:
        return np.broadcast_to(np.array([p[place] for p in PIXELS], dtype), shape).copy()

    emissivity = np.array([p[2] for p in PIXELS], np.float32).T[:, np.newaxis]
    stacked = np.broadcast_to(emissivity, (1, 5, *shape[1:])).copy()
    sigma = np.repeat(image(3, np.float32)[:, np.newaxis], 5, axis=1)
    dims, bands = ("time", "y", "x"), ("time", "band", "y", "x")
    ds = xr.Dataset(
        {
            "surface_temperature": (dims, image(0, np.float32), {"units": "K"}),
            "surface_temperature_uncertainty": (dims, image(1, np.float32)),
            "emissivity": (bands, stacked),
            "emissivity_uncertainty": (bands, sigma),
            "quality": (dims, image(4, np.uint16)),
            "conditions": (dims, image(5, np.uint16)),
        },
        coords={
            "time": np.array(["2004-07-01"], "M8[ns]"),
            "band": ["B10", "B11", "B12", "B13", "B14"],
            "y": 4e6 - 90.0 * np.arange(2),
            "x": 3e5 + 90.0 * np.arange(len(PIXELS)),
        },
    )
    return ds.rio.write_crs("EPSG:32617")


def test_each_pair_of_bits_is_as_documented() -> None:
    bits = as_jpl(result())["QC"].to_numpy()[0, 0]
    assert bits.dtype == np.uint16
    for number, pixel in zip(bits, PIXELS, strict=True):
        pairs = tuple(int(number) >> 2 * place & 3 for place in range(8))
        assert pairs == pixel[-1], pixel
    lazy = as_jpl(result().chunk(x=3))["QC"]
    assert lazy.chunks is not None
    np.testing.assert_array_equal(lazy, as_jpl(result())["QC"])


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_integers_hold_what_they_can(tmp_path: Path, zarr_format: int) -> None:
    ds = result().chunk(x=4)
    aktes_xr.write_result(ds, tmp_path / "out.zarr", encoding="jpl", zarr_format=zarr_format)  # type: ignore[arg-type]
    raw = xr.open_zarr(tmp_path / "out.zarr", mask_and_scale=False)
    for name, scaled in SCALED.items():
        assert raw[name].dtype == scaled.dtype
        assert raw[name].attrs["scale_factor"] == scaled.scale
        assert raw[name].attrs["_FillValue"] == 0
    stored = aktes_xr.open_result(tmp_path / "out.zarr").load()
    for name, scaled in SCALED.items():
        kept = np.isfinite(ds[name].to_numpy())
        np.testing.assert_array_equal(np.isfinite(stored[name].to_numpy()), kept)
        most = scaled.scale * np.iinfo(scaled.dtype).max + scaled.offset
        wanted = np.clip(ds[name].to_numpy(), scaled.scale + scaled.offset, most)
        error = np.abs(stored[name].to_numpy() - wanted)[kept]
        assert error.max() <= 0.501 * scaled.scale
    assert stored["QC"].dtype == np.uint16
    np.testing.assert_array_equal(stored["QC"], as_jpl(result())["QC"])
    np.testing.assert_array_equal(stored["quality"], result()["quality"])


def test_what_cannot_be_encoded_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingVariableError, match="emissivity"):
        aktes_xr.write_result(result().drop_vars("emissivity"), tmp_path / "a", encoding="jpl")
    with pytest.raises(InputError, match="'float' or 'jpl'"):
        aktes_xr.write_result(result(), tmp_path / "a", encoding="esa")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
