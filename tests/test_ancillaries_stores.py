"""The public reanalyses, in stores of their very layout on loopback."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import yaml
from granules import write_granule, write_item
from placed_cubes import DATES, PLACE, cube_at, degrees_of

import aktes_xr
from aktes_xr import add_ancillaries, cube, errors
from aktes_xr.ancillaries import opening
from aktes_xr.bench.loopback import Traffic, serve
from aktes_xr.bench.reanalysis import Weather, write_arco, write_earthmover
from aktes_xr.catalog import Source, source

pytest.importorskip("icechunk")
pytest.importorskip("obstore")

QUANTITIES = ("air_temperature", "water_vapor", "surface_pressure", "skin_temperature")
pytestmark = [
    # Pcodec is what the live store is written with.
    pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3"),
]


@dataclass(frozen=True)
class Stores:
    traffic: Traffic
    era5: Source
    arco: Source
    snapshot: str
    folder: Path


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    root = tmp_path_factory.mktemp("stores")
    dates = [np.datetime64(date) for date in DATES]
    snapshot = write_earthmover(root / "bucket" / "icechunkV2", dates, PLACE)
    write_arco(root / "arco.zarr-v3", dates)
    with serve(root) as traffic:
        era5 = replace(source("era5"), url="s3://bucket/icechunkV2", endpoint=traffic.address)
        arco = replace(source("arco-era5"), url=f"{traffic.address}/arco.zarr-v3")
        yield Stores(traffic, era5, arco, snapshot, root / "bucket" / "icechunkV2")


def truth(ds: xr.Dataset, name: str, height: np.ndarray) -> np.ndarray:
    weather, degrees = Weather(), degrees_of(ds)
    return np.stack(
        [weather.at(name, float(weather.hours(date)), *degrees, height) for date in ds["time"]]
    )


@pytest.mark.parametrize("which", ["era5", "arco"])
def test_values_are_those_of_the_place_the_hour_and_the_height(stores: Stores, which: str) -> None:
    ds = cube_at()
    found = add_ancillaries(ds, getattr(stores, which)).compute()
    height = ds["elevation"].to_numpy().astype(float)
    tolerance = {"surface_pressure": 5e-3}
    for name in QUANTITIES:
        np.testing.assert_allclose(
            found[name], truth(ds, name, height), atol=tolerance.get(name, 2e-4), err_msg=name
        )
        assert found[name].dtype == np.float32
        assert (found[f"{name}_error"] > 0).all()
    xr.testing.assert_equal(
        found["ancillary_elevation"].drop_vars("spatial_ref"),
        ds["elevation"].rename("ancillary_elevation").drop_vars("spatial_ref"),
    )
    cube.check(found)
    assert "water_vapor" not in ds


@pytest.mark.parametrize("which", ["era5", "arco"])
def test_what_a_plain_nearest_read_finds_is_within_the_stated_error(
    stores: Stores, which: str
) -> None:
    """The plain read: the nearest cell at the nearest hour, at the model's own height."""
    ds = cube_at(elevation=False)
    found = add_ancillaries(ds, getattr(stores, which)).compute()
    opened = opening.open_source(getattr(stores, which))
    names = dict(opened.variables or {})
    plain = opened.datasets[-1]
    time = "valid_time" if which == "era5" else "time"
    latitude, longitude = degrees_of(ds)
    row, column = 35, 45
    place = {"latitude": latitude[row, column], "longitude": longitude[row, column]}
    for name in QUANTITIES:
        nearest = plain[names[name]].sel({time: ds["time"].to_numpy(), **place}, method="nearest")
        scale = 0.01 if name == "surface_pressure" else 1.0
        away = np.abs(nearest.to_numpy() * scale - found[name][:, row, column].to_numpy())
        assert (away < found[f"{name}_error"][:, row, column]).all(), name
        assert away.max() > 0


def test_without_an_elevation_values_stay_at_the_models_height(stores: Stores) -> None:
    ds = cube_at(elevation=False)
    found = add_ancillaries(ds, stores.arco).compute()
    height = Weather().orography(*degrees_of(ds))
    np.testing.assert_allclose(found["ancillary_elevation"], height, atol=0.01)
    for name in ("air_temperature", "water_vapor"):
        np.testing.assert_allclose(found[name], truth(ds, name, height), atol=2e-4)
    cube.check(found)


def test_errors_grow_with_distance_in_time_space_and_height(stores: Stores) -> None:
    between, hour = "2004-07-03T10:30", "2004-07-03T10:00"
    near = add_ancillaries(cube_at(dates=[hour]), stores.arco).compute()
    far = add_ancillaries(cube_at(dates=[between]), stores.arco).compute()
    high = cube_at(dates=[hour])
    high["elevation"] = high["elevation"] + 1000.0
    lifted = add_ancillaries(cube.describe(high), stores.arco).compute()
    at_cell = add_ancillaries(
        cube_at((43.5, 7.5), dates=[hour], shape=(1, 1), elevation=False), stores.arco
    ).compute()
    base = {"air_temperature": 2.0, "surface_pressure": 2.0, "skin_temperature": 3.0}
    for name in QUANTITIES:
        error = f"{name}_error"
        assert (far[error] > near[error]).all(), name
        if name != "water_vapor":  # a higher column is less, and so is its error
            assert float(lifted[error].mean()) > float(near[error].mean()), name
            assert float(at_cell[error][0, 0, 0]) == pytest.approx(base[name], rel=1e-3), name
    ratio = at_cell["water_vapor_error"] / at_cell["water_vapor"]
    assert float(ratio[0, 0, 0]) == pytest.approx(0.10, rel=0.05)


def test_results_do_not_depend_on_chunks(stores: Stores) -> None:
    whole = add_ancillaries(cube_at(chunk=90), stores.arco).compute()
    for chunk in (17, 64):
        parts = add_ancillaries(cube_at(chunk=chunk), stores.arco).compute()
        for name in QUANTITIES:
            np.testing.assert_array_equal(parts[name], whole[name])
            np.testing.assert_array_equal(parts[f"{name}_error"], whole[f"{name}_error"])


def test_nothing_is_read_before_it_is_computed_and_then_only_what_is_used(stores: Stores) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("computed")

    with dask.config.set(scheduler=refuse):
        found = add_ancillaries(cube_at(), stores.arco)
    stores.traffic.clear()
    found["water_vapor"].compute()
    fields = {path.split("/")[2] for path, _ in stores.traffic.sent}
    assert fields == {"total_column_water_vapour", "geopotential_at_surface"}
    hours = [path for path, _ in stores.traffic.sent if "total_column" in path]
    assert len(hours) == len(set(hours)) == 4, "two dates, the hours before and after, once each"


def test_the_graph_is_small_and_travels(stores: Stores) -> None:
    ds = cube_at(shape=(700, 900), chunk=100, elevation=False)
    height = da.full((700, 900), np.float32(700.0), chunks=100)
    ds["elevation"] = (("y", "x"), height, {"units": "m"})
    found = add_ancillaries(ds, stores.arco)
    graph = found["water_vapor"].data.dask
    blocks = 7 * 9 * len(DATES)
    assert len(dict(graph)) < 6 * blocks
    assert len(pickle.dumps(graph)) < 400_000
    copy = pickle.loads(pickle.dumps(found[["air_temperature"]].isel(time=0, y=slice(5))))
    np.testing.assert_array_equal(copy.compute()["air_temperature"].shape, (5, 900))


def test_of_two_chunkings_the_one_that_needs_fewer_bytes_is_read(stores: Stores) -> None:
    ds = cube_at()
    add = add_ancillaries(ds, stores.era5, variables=["water_vapor"])
    stores.traffic.clear()
    add["water_vapor"].compute()
    read = stores.traffic.bytes_of("chunks")
    one_group = replace(stores.era5, groups=("single/spatial",))
    add = add_ancillaries(ds, one_group, variables=["water_vapor"])
    stores.traffic.clear()
    add["water_vapor"].compute()
    assert 0 < read < stores.traffic.bytes_of("chunks")


def test_provenance_and_licence_are_said_once(
    stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    opening._say_licence.cache_clear()
    with caplog.at_level(logging.INFO, logger="aktes_xr"):
        found = add_ancillaries(cube_at(), stores.era5)
        add_ancillaries(cube_at(), stores.era5)
    assert caplog.text.count("CC-BY-4.0") == 1
    assert found.attrs["ancillary_snapshot"] == stores.snapshot
    assert found.attrs["ancillary_times"] == "2004-07-03T10:00 to 2004-07-19T11:00"
    assert "Hersbach" in found.attrs["ancillary_citation"]
    assert "water_vapor from era5" in found.attrs["ancillary_source"]


def test_a_date_outside_is_nodata_with_a_warning_that_names_it(
    stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    ds = cube_at(dates=[DATES[0], "2026-06-01T10:41"])
    found = add_ancillaries(ds, stores.arco).compute()
    assert "2026-06-01T10:41" in caplog.text
    assert "1940-01-01T00:00 to 2026-05-31T23:00" in caplog.text
    for name in QUANTITIES:
        assert found[name][0].notnull().all()
        assert found[name][1].isnull().all()
        assert found[f"{name}_error"][1].isnull().all()
    with pytest.raises(errors.AncillaryError, match="2026-06-01T10:41"):
        add_ancillaries(ds, stores.arco, errors="raise")


def test_a_padded_time_axis_is_not_believed(stores: Stores) -> None:
    """It runs to 2050, and is NaN there without an error."""
    with pytest.raises(errors.AncillaryError, match=r"nothing within 6 h of 2045-07-03T10:41"):
        add_ancillaries(cube_at(dates=["2045-07-03T10:41"]), stores.arco)


def test_the_last_day_is_there_to_its_last_hour(stores: Stores) -> None:
    add_ancillaries(cube_at(dates=["2026-05-31T23:00"]), stores.arco, errors="raise")
    add_ancillaries(cube_at(dates=["2026-06-01T04:59"]), stores.arco, errors="raise")
    with pytest.raises(errors.AncillaryError):
        add_ancillaries(cube_at(dates=["2026-06-01T05:01"]), stores.arco, errors="raise")


def test_a_variable_that_the_store_lacks_is_named_and_another_source_gives_it(
    stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    lacking = replace(
        stores.era5, variables={**(stores.era5.variables or {}), "water_vapor": "tciwv"}
    )
    alone = add_ancillaries(cube_at(), lacking)
    assert "water_vapor" not in alone
    assert "'tciwv' is not used: the store does not hold it" in caplog.text
    both = add_ancillaries(cube_at(), [lacking, stores.arco])
    assert both.attrs["ancillary_source"].count("water_vapor from arco-era5") == 1
    np.testing.assert_array_equal(
        both["air_temperature"].compute(), alone["air_temperature"].compute()
    )


def test_a_store_across_the_greenwich_meridian(stores: Stores) -> None:
    ds = cube_at((51.5, 0.0), dates=DATES[:1], epsg=32631)
    found = add_ancillaries(ds, stores.arco, variables=["air_temperature"]).compute()
    latitude, longitude = degrees_of(ds)
    assert longitude.min() < 0 < longitude.max()
    # East of the meridian the field is that of 0 to 360; west of it the cells lie beyond 359.
    turned = np.where(longitude < 0, longitude + 360.0, longitude)
    weather = Weather()
    hours = float(weather.hours(ds["time"].to_numpy()[0]))
    height = ds["elevation"].to_numpy().astype(float)
    expected = weather.at("air_temperature", hours, latitude, turned, height)
    away = (longitude < -0.25) | (longitude > 0.0)
    # Carrying takes the orography out again, which differs by the same turn.
    np.testing.assert_allclose(found["air_temperature"][0].values[away], expected[away], atol=1e-3)
    assert found["air_temperature"].notnull().all()


def test_open_stac_takes_a_definition_in_a_file(stores: Stores, tmp_path: Path) -> None:
    catalogs = Path(aktes_xr.__file__).parent.parent / "catalogs"
    fields = yaml.safe_load((catalogs / "era5.yaml").read_text())["sources"]["arco-era5"]
    fields["url"] = stores.arco.url
    mirror = tmp_path / "mirror.yaml"
    mirror.write_text(yaml.safe_dump({"sources": {"mirror": fields}}))
    item = write_item(tmp_path / "one.json", write_granule(tmp_path))
    ds = aktes_xr.open_stac(item, ancillaries=mirror)
    assert "mirror" in ds.attrs["ancillary_source"]
    assert set(QUANTITIES) <= set(ds.data_vars)
    cube.check(ds)


def test_a_store_that_is_not_there(stores: Stores) -> None:
    nowhere = replace(stores.arco, url=f"{stores.traffic.address}/nothing.zarr")
    with pytest.raises(errors.ReadError, match="could not be opened"):
        add_ancillaries(cube_at(), nowhere)
    nowhere = replace(stores.era5, url="s3://bucket/nothing")
    with pytest.raises((errors.ReadError, errors.DependencyError), match="could not be opened"):
        add_ancillaries(cube_at(), nowhere)


def test_an_address_with_a_credential_is_refused() -> None:
    for address in ("https://user:word@x.test/a.zarr", "https://x.test/a.zarr?sig=secret"):
        with pytest.raises(errors.AncillaryError, match="a credential or a query") as caught:
            add_ancillaries(cube_at(), address)
        assert "secret" not in str(caught.value)
        assert "word" not in str(caught.value)


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "find_spec", lambda name: None)
    with pytest.raises(errors.DependencyError, match=r"needs icechunk; run: pip install 'aktes-xr"):
        add_ancillaries(cube_at(), "era5")
    with pytest.raises(errors.DependencyError, match=r"gs:// needs obstore"):
        add_ancillaries(cube_at(), "arco-era5")


def test_an_object_store_that_others_wrote_gives_the_same(
    stores: Stores,
) -> None:
    """The same repository in moto's S3, which knows nothing of how we serve files."""
    server_of = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    server = server_of.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
        bucket = boto3.client("s3", endpoint_url=address, region_name="us-east-1", **keys)
        bucket.create_bucket(Bucket="era5", ACL="public-read")
        for path in sorted(stores.folder.rglob("*")):
            if path.is_file():
                key = f"icechunkV2/{path.relative_to(stores.folder).as_posix()}"
                # As the live bucket: anybody may read, nobody needs a key.
                bucket.put_object(Bucket="era5", Key=key, Body=path.read_bytes(), ACL="public-read")
        moto = replace(stores.era5, url="s3://era5/icechunkV2", endpoint=address)
        ds = cube_at(dates=DATES[:1])
        found = add_ancillaries(ds, moto, variables=["air_temperature"]).compute()
    finally:
        server.stop()
    ours = add_ancillaries(ds, stores.era5, variables=["air_temperature"]).compute()
    np.testing.assert_array_equal(found["air_temperature"], ours["air_temperature"])
    assert found.attrs["ancillary_snapshot"] == stores.snapshot
