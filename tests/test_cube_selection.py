from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import aktes_xr
from aktes_xr.cube.conditions import CONDITION_MEANINGS, ConditionFlag, condition_attributes
from aktes_xr.cube.quality import MEANINGS, QualityFlag
from aktes_xr.cube.selection import DOUBTFUL_FLAGS, count_flags, flags
from aktes_xr.errors import InputError, MissingVariableError


def result(*, conditions: bool = True) -> xr.Dataset:
    quality = np.array([[[0, QualityFlag.CLOUD], [QualityFlag.UNREADABLE, 0]]], np.uint16)
    doubt = np.array([[[0, 0], [0, ConditionFlag.NEAR_CLOUD]]], np.uint16)
    image = ("time", "y", "x")
    variables = {
        "surface_temperature": (image, da.full((1, 2, 2), 300.0, dtype=np.float32)),
        "emissivity": (
            ("time", "band", "y", "x"),
            da.full((1, 5, 2, 2), 0.97, dtype=np.float32),
        ),
        "surface_temperature_uncertainty": (image, np.full((1, 2, 2), 0.8, np.float32)),
        "sky_view_factor": (("y", "x"), np.ones((2, 2), np.float32)),
        "quality": (image, quality),
    }
    if conditions:
        variables["conditions"] = (image, doubt)
    return xr.Dataset(variables)


def test_conditions_have_cf_attributes() -> None:
    attributes = condition_attributes()
    masks = attributes["flag_masks"]
    assert masks.dtype == np.uint16
    assert len(masks) == len(attributes["flag_meanings"].split()) == len(CONDITION_MEANINGS)
    assert len({int(mask) for mask in masks}) == len(masks)
    assert all(int(mask).bit_count() == 1 for mask in masks)


def test_names_of_both_variables_select_alike() -> None:
    ds = result()
    masked = aktes_xr.mask(ds, "cloud", "unreadable", "near_cloud")
    assert masked["surface_temperature"].chunks is not None
    kept = masked["surface_temperature"].notnull().to_numpy()
    np.testing.assert_array_equal(kept, [[[True, False], [False, False]]])
    assert masked["emissivity"].dims == ("time", "band", "y", "x")
    np.testing.assert_array_equal(masked["emissivity"].isel(band=2).notnull(), kept)
    xr.testing.assert_identical(masked["quality"], ds["quality"])
    xr.testing.assert_identical(masked["sky_view_factor"], ds["sky_view_factor"])
    xr.testing.assert_identical(masked, ds.aktes.mask("cloud", "unreadable", "near_cloud"))


def test_doubtful_stands_for_every_flag_that_gives_reason_for_doubt() -> None:
    ds = result()
    assert {"cloud", "out_of_domain", "near_cloud"} < set(DOUBTFUL_FLAGS)
    assert set(flags(ds)) >= set(DOUBTFUL_FLAGS)
    kept = aktes_xr.mask(ds, "doubtful")["surface_temperature"].notnull().to_numpy()
    np.testing.assert_array_equal(kept, [[[True, False], [True, False]]])
    old = result(conditions=False)
    assert int(aktes_xr.mask(old, "doubtful")["surface_temperature"].notnull().sum()) == 3


def test_uncertainty_selects() -> None:
    ds = result()
    assert aktes_xr.mask(ds, max_uncertainty=1.0)["surface_temperature"].notnull().all()
    assert aktes_xr.mask(ds, max_uncertainty=0.5)["surface_temperature"].isnull().all()
    with pytest.raises(InputError, match="more than 0"):
        aktes_xr.mask(ds, max_uncertainty=-1.0)


def test_a_result_without_conditions_is_read() -> None:
    old = result(conditions=False)
    assert set(flags(old)) == {str(flag.name).lower() for flag in MEANINGS}
    with pytest.raises(InputError, match="near_cloud"):
        aktes_xr.mask(old, "near_cloud")
    with pytest.raises(MissingVariableError, match="quality"):
        aktes_xr.mask(old.drop_vars("quality"), "cloud")
    with pytest.raises(MissingVariableError, match="uint16"):
        aktes_xr.mask(old.assign(quality=old["quality"].astype(float)), "cloud")


def test_flags_are_counted() -> None:
    counts = count_flags(result())
    assert counts["pixels"] == 4
    assert (counts["cloud"], counts["unreadable"], counts["near_cloud"]) == (1, 1, 1)
    assert counts["fill"] == counts["snow_hint"] == 0
