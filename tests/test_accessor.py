"""The accessor adds nothing: same signatures, same results, no logic."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

import aktes_xr
from aktes_xr import accessor, sensor
from aktes_xr.cube import calibration, new_cube
from aktes_xr.cube.quality import decode
from aktes_xr.errors import CubeError, DependencyError, InputError, MissingVariableError
from aktes_xr.jobs.plan import plan
from aktes_xr.terrain import terrain_indices
from aktes_xr.validation.map import explore


def cube(chunks: int | None = 8) -> xr.Dataset:
    """A cube of 12 x 10 pixels, half of it lazy, with one fill pixel."""
    dn = np.random.default_rng(1).integers(1000, 2000, (1, 5, 12, 10)).astype("uint16")
    dn[0, :, 3, 4] = sensor.FILL_DN
    ds = new_cube(
        dn,
        time=[np.datetime64("2015-04-14T03:12:32", "ns")],
        y=4_000_000.0 - 90.0 * np.arange(12),
        x=500_000.0 + 90.0 * np.arange(10),
        crs="EPSG:32648",
    )
    return ds if chunks is None else ds.chunk({"y": chunks, "x": chunks})


PUBLIC = {
    "radiance": calibration.radiance,
    "brightness_temperature": calibration.brightness_temperature,
    "terrain": terrain_indices,
    "retrieve": aktes_xr.retrieve,
    "mask": aktes_xr.mask,
    "explore": explore,
    "plan": plan,
}


def described(function: Any) -> list[tuple[str, Any, Any, str]]:
    """Every parameter but the first: name, kind, default and annotation."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return [
        (p.name, p.kind, p.default, str(p.annotation).rpartition(".")[2].replace('"', ""))
        for p in parameters
    ]


@pytest.mark.parametrize("name", PUBLIC)
def test_signature_is_the_public_functions(name: str) -> None:
    assert described(getattr(accessor.AktesAccessor, name)) == described(PUBLIC[name])


def test_methods_are_the_public_ones() -> None:
    named = {n for n in vars(accessor.AktesAccessor) if not n.startswith("_")}
    assert named == {*PUBLIC, "plot"}


def test_methods_hold_an_import_and_one_call() -> None:
    tree = ast.parse(Path(accessor.__file__).read_text(encoding="utf-8"))
    methods = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and node.name != "plot"
    ]
    for method in methods:
        docstring, imported, returned = method.body
        assert isinstance(docstring, ast.Expr)
        assert isinstance(imported, ast.ImportFrom)
        assert isinstance(returned, ast.Return)
        assert isinstance(returned.value, ast.Call)


def refuse(*_: Any, **__: Any) -> Any:
    raise AssertionError("something was computed")


def test_radiance_and_temperature_are_the_sensors_and_lazy() -> None:
    ds = cube()
    before = ds.copy(deep=True)
    with dask.config.set(scheduler=refuse):
        radiance = ds.aktes.radiance()
        temperature = ds.aktes.brightness_temperature()
    dn = np.moveaxis(ds["tir"].values, 1, -1)
    expected = np.moveaxis(sensor.dn_to_radiance(dn), -1, 1)
    np.testing.assert_array_equal(radiance.values, expected)
    again = sensor.radiance_to_brightness_temperature(np.moveaxis(radiance.values, 1, -1))
    np.testing.assert_allclose(np.moveaxis(temperature.values, 1, -1), again, rtol=0, atol=1e-4)
    assert np.isnan(temperature.values[0, :, 3, 4]).all()
    assert radiance.rio.crs == temperature.rio.crs == ds.rio.crs
    assert (radiance.attrs["units"], temperature.attrs["units"]) == ("W m-2 sr-1 um-1", "K")
    xr.testing.assert_identical(ds, before)


def test_radiance_of_a_radiance_cube_is_itself() -> None:
    ds = cube()
    calibrated = ds.assign(tir=ds.aktes.radiance())
    calibrated["tir"].attrs["units"] = "W m-2 sr-1 um-1"
    xr.testing.assert_equal(calibrated.aktes.radiance(), ds.aktes.radiance())
    a, b = (d.aktes.brightness_temperature().values for d in (calibrated, ds))
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-4)


@pytest.mark.parametrize("chunks", [None, 12, 8, 5])
def test_chunking_changes_no_bit(chunks: int | None) -> None:
    expected = cube(None).aktes.brightness_temperature().values
    np.testing.assert_array_equal(cube(chunks).aktes.brightness_temperature().values, expected)


def test_what_is_not_a_cube_is_refused() -> None:
    with pytest.raises(MissingVariableError, match="tir"):
        xr.Dataset().aktes.radiance()
    with pytest.raises(CubeError):
        cube().drop_vars("spatial_ref").aktes.brightness_temperature()


def test_terrain_of_a_cube_without_elevation_says_how_to_get_it() -> None:
    with pytest.raises(MissingVariableError, match=r"no 'elevation' \(found: tir\).*dem="):
        cube().aktes.terrain()


def test_an_array_is_no_cube_and_a_result_is_no_array_of_flags() -> None:
    with pytest.raises(InputError, match="found a DataArray, expected the cube"):
        aktes_xr.retrieve(cube()["tir"])  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"found a Dataset.*result\['quality'\]"):
        decode(cube())  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_a_map_shows_one_date_and_band() -> None:
    pytest.importorskip("odc.geo")
    pytest.importorskip("folium")
    shown = cube().aktes.explore("tir", band="B12", vmin=1000, vmax=2000)
    assert "data:image/png;base64" in shown.get_root().render()
    with pytest.raises(MissingVariableError, match="found no variable 'surface_temperature'"):
        cube().aktes.explore()
    with pytest.raises(InputError, match="band is 'B9', expected one of B10"):
        cube().aktes.explore("tir", band="B9")
    with pytest.raises(InputError, match=r"time is 3, expected the index of 1 date"):
        cube().aktes.explore("tir", time=3)


def test_a_map_without_its_packages_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aktes_xr.validation.map.find_spec", lambda name: None)
    with pytest.raises(DependencyError, match=r"pip install 'aktes-xr\[explore\]'"):
        cube().aktes.explore("tir")
