"""A result as a STAC catalogue: valid, whole, in place at once, free to move."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pystac.validation
import pytest
import rioxarray
import xarray as xr
from object_server import SECRET, serve_objects
from pystac.extensions.datacube import DatacubeExtension, HorizontalSpatialDimension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.scientific import ScientificExtension
from random_bundle import random_bundle
from test_store import make_result
from test_store_series import entry
from typer.testing import CliRunner

from aktes_xr import errors
from aktes_xr.cli import app
from aktes_xr.models import load_bundle
from aktes_xr.stac import Publication, publish
from aktes_xr.store import write_result
from aktes_xr.store.address import zarr_store
from aktes_xr.store.series import claim_series


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bundle") / "random"
    random_bundle(path)
    return str(path)


@pytest.fixture
def store(tmp_path: Path, bundle: str) -> Path:
    result = make_result()
    result.attrs |= {
        "method": "fusion",
        "package_version": "9.8.7",
        "bundle": "random",
        "bundle_sha256": load_bundle(bundle).sha256,
    }
    write_result(result, tmp_path / "monte rosa.zarr")
    return tmp_path / "monte rosa.zarr"


@pytest.fixture
def published(store: Path, tmp_path: Path, bundle: str) -> pystac.Collection:
    path = publish(store, tmp_path / "out", Publication(cogs=True, bundle=bundle))
    return pystac.Collection.from_file(str(path))


def test_all_is_valid_stac(published: pystac.Collection) -> None:
    # PySTAC's own schemas of the core; what needs the network are the extensions' own.
    for one in (published, *published.get_items()):
        found = one.to_dict()
        found["stac_extensions"] = []
        assert pystac.validation.validate_dict(found)
    assert published.id == "monte-rosa"
    ids = [item.id for item in published.get_items()]
    assert ids == [
        "monte-rosa-series",
        "monte-rosa-20010106T031139Z",
        "monte-rosa-20010122T000000Z",
    ]


def test_the_dates_lie_where_their_pixels_are(published: pystac.Collection, store: Path) -> None:
    _, date, _ = published.get_items()
    result = xr.open_zarr(store, decode_coords="all")
    projection = ProjectionExtension.ext(date)
    assert projection.code == "EPSG:32650"
    assert projection.shape == [40, 50]
    assert projection.bbox == pytest.approx(result.rio.bounds())
    west, south, east, north = result.rio.transform_bounds("EPSG:4326", densify_pts=50)
    np.testing.assert_allclose(date.bbox, (west, south, east, north), atol=1e-5)
    ring = np.array(date.geometry["coordinates"][0])  # type: ignore[index]
    area = np.sum(ring[:-1, 0] * ring[1:, 1] - ring[1:, 0] * ring[:-1, 1]) / 2
    assert area > 0.0, "counter-clockwise, as GeoJSON asks"
    assert area == pytest.approx((east - west) * (north - south), rel=0.02)


def test_the_series_is_a_cube(published: pystac.Collection) -> None:
    whole = next(iter(published.get_items()))
    cube = DatacubeExtension.ext(whole)
    x, y = cube.dimensions["x"], cube.dimensions["y"]
    assert isinstance(x, HorizontalSpatialDimension)
    assert isinstance(y, HorizontalSpatialDimension)
    assert (x.extent, x.step) == ([270_000.0, 270_000.0 + 49 * 90.0], 90.0)
    assert (y.extent, y.reference_system) == ([1_700_000.0 - 39 * 90.0, 1_700_000.0], 32650)
    assert cube.dimensions["time"].extent == ["2001-01-06T03:11:39Z", "2001-01-22T00:00:00Z"]
    emissivity = cube.variables["emissivity"]
    assert (emissivity.dimensions, emissivity.unit) == (["time", "band", "y", "x"], "1")
    assert whole.properties["start_datetime"] < whole.properties["end_datetime"]


def test_every_link_and_asset_leads_somewhere(published: pystac.Collection, store: Path) -> None:
    folder = Path(published.self_href).parent
    for item in published.get_items():
        for asset in item.assets.values():
            assert Path(asset.get_absolute_href() or "").exists(), asset.href
        (zarr,) = (a for key, a in item.assets.items() if key == "zarr")
        assert Path(zarr.get_absolute_href() or "").resolve() == store.resolve()
        (model,) = item.get_links("derived_from")
        networks = pystac.Item.from_file(str(folder / "model/mlm.json"))
        assert model.extra_fields["mlm:name"] == networks.properties["mlm:name"]
        assert load_bundle(folder / "model").sha256 in item.properties["processing:lineage"]
    with rioxarray.open_rasterio(folder / "cogs/surface_temperature_20010106T031139Z.tif") as cog:
        assert cog.shape == (1, 40, 50)
    assert "sky_view_factor" in next(iter(published.get_items())).assets


def test_who_made_it_and_how_to_cite(published: pystac.Collection) -> None:
    root = Path(__file__).resolve().parent.parent
    cited = ScientificExtension.ext(published).publications or []
    assert [one.doi for one in cited] == ["10.1016/j.aiia.2025.03.009", "10.5067/ASTER/AST_L1T.003"]
    assert all(one.doi in (root / "CITATION.cff").read_text() for one in cited if one.doi)
    (provider,) = published.providers or []
    assert provider.extra_fields["processing:software"] == {"aktes_xr": "9.8.7"}
    _, date, _ = published.get_items()
    assert date.properties["aktes:source_items"] == ["a"]
    assert 80.0 < date.properties["aktes:valid_percent"] <= 100.0


def test_a_moved_catalogue_still_holds_together(
    published: pystac.Collection, tmp_path: Path
) -> None:
    folder = Path(published.self_href).parent
    for file in (folder / "collection.json", *folder.glob("items/*.json")):
        assert str(tmp_path) not in file.read_text()
    shutil.move(folder, tmp_path / "elsewhere")
    moved = pystac.Collection.from_file(str(tmp_path / "elsewhere/collection.json"))
    assert len(list(moved.get_items())) == 3


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [(tag, value) for key, value in attrs if key in ("src", "href") and value]


def test_the_page_shows_each_date_and_links_what_exists(
    store: Path, tmp_path: Path, bundle: str
) -> None:
    settings = Publication(cogs=True, bundle=bundle, title="<b>Snow & ice</b>")
    folder = publish(store, tmp_path / "out", settings).parent
    text = (folder / "index.html").read_text()
    assert "&lt;b&gt;Snow &amp; ice&lt;/b&gt;" in text
    page = _Page()
    page.feed(text)
    links = {value for _, value in page.found if not value.startswith("#")}
    assert all((folder / link).exists() for link in links), links
    assert len([tag for tag, _ in page.found if tag == "img"]) == 2
    assert "cogs/quality_20010122T000000Z.tif" in links
    assert re.search(r"default-src 'none'", text)


def test_a_series_says_when_each_date_was_made(tmp_path: Path) -> None:
    place = tmp_path / "s.zarr"
    with claim_series(place) as series:
        series.write(make_result(chunks={"time": 1}))
        series.commit(1, entry(1, made="2026-11-26T20:00:00.000+00:00"))
    collection = pystac.Collection.from_file(
        str(publish(place, tmp_path / "out", Publication(href="s3://bucket/s.zarr")))
    )
    whole, date = collection.get_items()
    assert date.properties["processing:datetime"] == "2026-11-26T20:00:00.000Z"
    assert date.assets["zarr"].href == "s3://bucket/s.zarr"
    assert not whole.get_links("derived_from")


def test_a_row_of_pixels_has_a_place_too(tmp_path: Path) -> None:
    write_result(make_result(dates=1).isel(y=slice(0, 1)), tmp_path / "row.zarr")
    collection = pystac.Collection.from_file(str(publish(tmp_path / "row.zarr", tmp_path / "out")))
    _, date = collection.get_items()
    assert ProjectionExtension.ext(date).shape == [1, 50]
    assert date.properties["proj:transform"] == [90.0, 0.0, 269_955.0, 0.0, -90.0, 1_700_045.0]


def test_icechunk_says_what_it_is(tmp_path: Path) -> None:
    pytest.importorskip("icechunk", reason="icechunk is not installed")
    place = tmp_path / "s"
    with claim_series(place, backend="icechunk") as series:
        series.write(make_result(chunks={"time": 1}))
        series.commit(0, entry(0))
    collection = pystac.Collection.from_file(str(publish(place, tmp_path / "out")))
    _, date = collection.get_items()
    assert date.assets["zarr"].media_type == "application/vnd.zarr+icechunk"


def test_a_result_in_an_object_store_is_named_where_it_lies(tmp_path: Path) -> None:
    pytest.importorskip("moto.server", reason="moto[server] is not installed")
    with serve_objects() as address:
        place = f"{address}/r.zarr"
        write_result(make_result(), place)
        collection = pystac.Collection.from_file(str(publish(place, tmp_path / "out")))
        _, date, _ = collection.get_items()
        href = date.assets["zarr"].href
        assert href.startswith(f"{place}/")
        assert xr.open_zarr(zarr_store(href)).sizes["time"] == 2
        assert SECRET not in "".join(p.read_text() for p in (tmp_path / "out").rglob("*.json"))


def test_networks_that_did_not_make_it_are_not_linked(
    store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = publish(store, tmp_path / "out", Publication(bundle="default"))
    assert "is not the one that made this result" in caplog.text
    assert not (path.parent / "model").exists()


def test_only_a_catalogue_is_replaced(store: Path, tmp_path: Path, bundle: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(errors.StoreExistsError, match="out exists"):
            publish(store, out, overwrite=overwrite)
    (out / "mine.txt").unlink()
    out.rmdir()
    first = publish(store, out, Publication(bundle=bundle))
    with pytest.raises(errors.StoreExistsError):
        publish(store, out)
    publish(store, out, Publication(bundle=bundle, title="again"), overwrite=True)
    assert json.loads(first.read_text())["title"] == "again"
    assert {path.name for path in tmp_path.iterdir()} == {"monte rosa.zarr", "out"}


def test_a_failure_leaves_nothing(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pystac.Collection, "save", full)
    with pytest.raises(errors.StoreError, match="could not write out: No space left"):
        publish(store, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"monte rosa.zarr"}


def test_the_command(store: Path, tmp_path: Path, bundle: str) -> None:
    out = tmp_path / "out"
    options = ["--stac", str(out), "--bundle", bundle, "--name", "snow", "--licence", "CC-BY-4.0"]
    done = CliRunner().invoke(app, ["export", str(store), *options, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"stac": str(out / "collection.json")}
    collection = pystac.Collection.from_file(str(out / "collection.json"))
    assert (collection.id, collection.license) == ("snow", "CC-BY-4.0")
    wrong = CliRunner().invoke(app, ["export", str(store), "--with-cogs", "--cog", "c"])
    assert wrong.exit_code == 2
