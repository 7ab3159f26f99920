"""The real open sea of the archive's own scene, whose temperature radiative closure gives."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import xarray as xr
from real_data import real_files

from aktes_xr import sensor
from aktes_xr.cube import describe, new_cube
from aktes_xr.cube.quality import QualityFlag
from aktes_xr.radiative.water import water_emissivity

CLOSURE_K = 293.65
SIDE = 41


def sea(side: int, noise_k: float, *, water: bool) -> xr.Dataset:
    """Make a cube of the scene's mean digital numbers."""
    with (real_files("aster_l1t") / "scene_dn_statistics.csv").open(newline="") as lines:
        scene = [row for row in csv.DictReader(lines) if "2007-12-27" in row["granule"]]
    rows = {row["band"]: float(row["dn_mean"]) for row in scene}
    dn = np.array([rows[band] for band in sensor.BANDS])
    rng = np.random.default_rng(1)
    radiance = (dn - 1.0) * sensor.UNIT_CONVERSION
    noise = sensor.noise_equivalent_radiance(np.full(5, noise_k))
    field = radiance + noise * rng.standard_normal((side, side, 5))
    measured = sensor.radiance_to_dn(field.astype(np.float32))
    cube = new_cube(
        np.moveaxis(measured, -1, 0)[np.newaxis],
        time=np.array(["2007-12-27T01:21"], "M8[ns]"),
        y=6.336e6 - 90.0 * np.arange(side),
        x=3e5 + 90.0 * np.arange(side),
        crs="EPSG:32752",
        coordinates={"view_zenith": [1.0], "sun_zenith": [35.0], "sun_azimuth": [80.0]},
    )
    if side > 1:
        cube["elevation"] = (("y", "x"), np.zeros((side, side), np.float32), {"units": "m"})
    if water:
        cube["water"] = (("time", "y", "x"), np.ones((1, side, side), bool))
    return describe(cube)


@pytest.mark.parametrize(("side", "noise_k"), [(SIDE, 0.15), (1, 0.0)])
@pytest.mark.parametrize("water", [False, True])
def test_the_sea_is_as_warm_as_its_radiance_says(side: int, noise_k: float, water: bool) -> None:
    method = "fusion" if side > 1 else "teacher"
    out = sea(side, noise_k, water=water).aktes.retrieve(method=method).compute()
    middle = out.isel(time=0, y=side // 2, x=side // 2)
    temperature = float(out["surface_temperature"].mean())
    sigma = float(middle["surface_temperature_uncertainty"])
    # One scene: a third of all right ones would lie beyond one sigma.
    assert abs(temperature - CLOSURE_K) <= 2.0 * sigma
    assert abs(temperature - CLOSURE_K) <= 0.5
    assert not int(middle["quality"]) & int(QualityFlag.OUT_OF_DOMAIN)
    if water:
        emissivity = out["emissivity"].mean(("time", "y", "x"))
        np.testing.assert_allclose(emissivity, water_emissivity(), atol=0.01)
