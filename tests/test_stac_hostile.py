"""Items, files and links that mean no good, or that somebody got wrong."""

from __future__ import annotations

import json
import logging
import os
import pickle
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pystac
import pytest
import rasterio
from fault_server import HASTY, FaultServer, faulty
from granules import ITEM_ID, numbers, transform, write_cog, write_granule, write_item

from aktes_xr import errors
from aktes_xr.models import load_bundle
from aktes_xr.sensor import UNREADABLE_DN
from aktes_xr.stac import Login, open_stac, search
from aktes_xr.stac.links import kept, redact


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FaultServer]:
    with faulty(tmp_path) as found:
        yield found


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[FaultServer]:
    (tmp_path / "elsewhere").mkdir()
    with faulty(tmp_path / "elsewhere") as found:
        found.url = found.url.replace("127.0.0.1", "localhost")
        yield found


def skipped(ds: Any) -> dict[str, str]:
    return {entry["id"]: entry["reason"] for entry in json.loads(ds.attrs["skipped_items"])}


def change(item: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    item = json.loads(json.dumps(item))
    holder: Any = item
    *way, last = place.split("/")
    for step in way:
        holder = holder[step]
    holder[last] = value
    return item


MISSHAPEN = [
    ("properties/view:sun_elevation", "n/a", "view:sun_elevation = 'n/a'"),
    ("properties/view:sun_elevation", float("nan"), "view:sun_elevation = nan"),
    ("properties/view:sun_elevation", 1e9, "view:sun_elevation"),
    ("properties/view:off_nadir", 80, "view:off_nadir = 80"),
    ("properties/view:off_nadir", 1000, "view:off_nadir = 1000"),
    ("properties/view:off_nadir", [1], "view:off_nadir"),
    ("properties/datetime", {"a": 1}, "datetime"),
    ("properties/datetime", "yesterday", "no datetime that is understood"),
    ("properties/datetime", "9999-01-01T00:00:00Z", "no datetime that is understood"),
    ("properties", "text", "has properties = 'text'"),
    ("properties/proj:epsg", "nine", "proj:epsg = 'nine'"),
    ("properties/proj:epsg", 999999999, "no coordinate reference system"),
    ("properties/proj:epsg", 4326, "not projected in metres"),
    ("assets", [1], "has assets = [1]"),
    ("assets/TIR", "text", "assets.TIR = 'text'"),
    ("assets/TIR/href", 7, "assets.TIR.href = 7"),
    ("assets/TIR/href", "/x\x1b[2J_TIR.tif", "control characters"),
    ("assets/TIR/roles", 5, "assets.TIR.roles = 5"),
    ("assets/TIR/type", {}, "assets.TIR.type"),
    ("assets/TIR/eo:bands", "text", "eo:bands = 'text'"),
    ("assets/TIR/eo:bands", ["B10"], "eo:bands.0 = 'B10'"),
    ("assets/TIR/proj:shape", "xx", "proj:shape = 'xx'"),
    ("assets/TIR/proj:shape", [128], "proj:shape"),
    ("assets/TIR/proj:shape", [0, 0], "proj:shape.0 = 0"),
    ("assets/TIR/proj:shape", [-5, 7], "proj:shape.0 = -5"),
    ("assets/TIR/proj:shape", [10**6, 10**6], "1000000 x 1000000 pixels, expected at most 5000"),
    ("assets/TIR/proj:shape", [10**20, 7], "proj:shape"),
    ("assets/TIR/proj:transform", [90.0, 0.0, 1.0], "proj:transform"),
    ("assets/TIR/proj:transform", [float("inf"), 0, 1, 0, -90, 1], "proj:transform.0 = inf"),
    ("assets/TIR/proj:transform", [1e-9, 0, 267e3, 0, -1e-9, 1747e3], "its pixels are 1e-09 m"),
    ("assets/TIR/proj:transform", [0, 90, 1, 90, 0, 1], "not north-up"),
    ("links", ["x"], "links.0 = 'x'"),
    ("links", 5, "has links = 5"),
    ("id", 17, "has id = 17"),
    ("id", "\ud800", "string"),
]


@pytest.mark.parametrize(("place", "value", "said"), MISSHAPEN)
def test_a_misshapen_item_takes_no_others_along(
    tmp_path: Path, place: str, value: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = write_granule(tmp_path, item_id="good")
    bad = change(write_granule(tmp_path, item_id="bad"), place, value)
    with caplog.at_level(logging.WARNING):
        ds = open_stac([good, bad])
    assert list(ds["item_id"].to_numpy()) == ["good"]
    ((name, reason),) = skipped(ds).items()
    assert said in reason
    assert reason in caplog.text
    assert name.isprintable()
    with pytest.raises(errors.NoItemsError) as caught:
        open_stac(bad)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("thing", [7, None, "text", [1, 2]])
def test_features_that_are_no_items(tmp_path: Path, thing: Any) -> None:
    path = tmp_path / "items.json"
    features = [write_granule(tmp_path), thing]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    ds = open_stac(path)
    assert list(ds["item_id"].to_numpy()) == [ITEM_ID]
    assert list(skipped(ds)) == ["unnamed"]


def test_control_characters_are_shown_as_escapes(tmp_path: Path) -> None:
    name = "a\x1b]0;owned\x07\u202eb\nc"
    item = change(write_granule(tmp_path), "id", name)
    ds = open_stac(item)
    assert ds["item_id"].item() == "a\\x1b]0;owned\\x07\\u202eb\\nc"
    error = errors.StacError(f"item {name}")
    assert "\x1b" not in str(error)
    assert "\u202e" not in str(error)


def test_a_granule_far_away_does_not_stretch_the_grid(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    near = [write_granule(tmp_path, item_id=f"near{number}") for number in range(3)]
    away = write_granule(tmp_path, item_id="away", affine=transform((267_210.0, 6_747_980.0)))
    with caplog.at_level(logging.WARNING):
        ds = open_stac([*near, away])
    assert ds.sizes["y"] < 100
    assert "more than 1000 km from the other items" in skipped(ds)["away"]
    assert "away" in caplog.text
    with pytest.raises(errors.GridError, match=r"too far apart for one grid.*give bbox="):
        open_stac([near[0], away])
    other_zone = write_granule(
        tmp_path, item_id="zone", epsg=32605, affine=transform((267_210.0, 1_747_980.0))
    )
    assert list(skipped(open_stac([*near, other_zone]))) == ["zone"]
    meant = open_stac([*near, away], bbox=(112.3, 60.5, 113.3, 61.2))
    assert list(meant["item_id"].to_numpy()) == ["away"]


@pytest.mark.parametrize("fault", ["dtype", "bands", "crs", "vrt", "text", "folder", "pipe"])
def test_a_wrong_local_file_is_isolated(tmp_path: Path, fault: str) -> None:
    good = write_granule(tmp_path, item_id="good", time="2001-01-06T00:00:00Z")
    bad = write_granule(tmp_path, item_id="bad", time="2001-01-22T00:00:00Z")
    path = Path(bad["assets"]["TIR"]["href"])
    if fault == "dtype":
        write_cog(path, numbers().astype("float32"))
    elif fault == "bands":
        write_cog(path, numbers()[:3])
    elif fault == "crs":
        with rasterio.open(path) as file:
            profile = {**file.profile, "crs": None}
        with rasterio.open(path, "w", **profile) as file:
            file.write(numbers())
    else:
        path.unlink()
        if fault == "vrt":
            path.write_text(vrt(good["assets"]["TIR"]["href"]))
        elif fault == "text":
            path.write_text("no raster")
        elif fault == "folder":
            path.mkdir()
        else:
            os.mkfifo(path)
    tir = open_stac([good, bad])["tir"].to_numpy()
    assert tir[0].any()
    assert (tir[1] == UNREADABLE_DN).all()
    with pytest.raises(errors.ReadError, match="bad"):
        open_stac([good, bad], errors="raise")


def vrt(source: str) -> str:
    bands = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{band}"><SimpleSource><SourceFilename>{source}'
        f"</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        for band in range(1, 6)
    )
    geo = "267210, 89.9, 0, 1747980, 0, -89.9"
    return (
        f'<VRTDataset rasterXSize="90" rasterYSize="70"><SRS>EPSG:32650</SRS>'
        f"<GeoTransform>{geo}</GeoTransform>{bands}</VRTDataset>"
    )


@pytest.mark.parametrize("inside", ["local", "remote"])
def test_a_tif_that_is_a_vrt_reads_nothing(
    tmp_path: Path, host: FaultServer, elsewhere: FaultServer, inside: str
) -> None:
    item = write_granule(tmp_path)
    path = Path(item["assets"]["TIR"]["href"])
    secret = write_cog(elsewhere.folder / "secret.tif", numbers())
    path.write_text(
        vrt(str(secret) if inside == "local" else f"/vsicurl/{elsewhere.url}/secret.tif")
    )
    item["assets"]["TIR"]["href"] = f"{host.url}/{path.name}"
    ds = open_stac([item, write_granule(tmp_path / "good", item_id="good")], network=HASTY)
    assert UNREADABLE_DN in ds["tir"].to_numpy()
    assert not elsewhere.times


@pytest.mark.parametrize(
    "href",
    [
        "/etc/passwd",
        "file:///etc/passwd",
        "/vsizip//etc/secret.zip/x.tif",
        "/vsigzip//etc/passwd",
        "/vsistdin/",
        "/vsisubfile/0_100,/etc/passwd",
        "ftp://127.0.0.1/x.tif",
        "gopher://127.0.0.1/x",
        "data:image/tiff;base64,SUkqAA==",
        "zip+https://127.0.0.1/x.zip",
        "../../../etc/passwd\x00.tif",
    ],
)
def test_a_remote_item_names_no_local_file(tmp_path: Path, host: FaultServer, href: str) -> None:
    bad = change(write_granule(tmp_path, item_id="bad"), "assets/TIR/href", href)
    write_item(tmp_path / "bad.json", bad)
    good = write_granule(tmp_path, item_id="good")
    ds = open_stac([good, f"{host.url}/bad.json"], network=HASTY)
    assert list(skipped(ds)) == ["bad"]
    with pytest.raises(errors.StacError):
        open_stac(f"{host.url}/bad.json", network=HASTY)


def test_relative_links_of_a_remote_item_are_remote(tmp_path: Path, host: FaultServer) -> None:
    item = write_granule(tmp_path)
    wanted = open_stac(item)["tir"].to_numpy()
    item["assets"]["TIR"]["href"] = f"./{Path(item['assets']['TIR']['href']).name}"
    write_item(tmp_path / "item.json", item)
    np.testing.assert_array_equal(
        open_stac(f"{host.url}/item.json", network=HASTY)["tir"].to_numpy(), wanted
    )


@pytest.mark.parametrize("href", ["/vsistdin/", "/vsimem/x.tif", "/vsizip/{/vsicurl/http://x}"])
def test_a_local_item_names_plain_files_only(tmp_path: Path, href: str) -> None:
    with pytest.raises(errors.NoItemsError, match=r"virtual file system|plain path"):
        open_stac(change(write_granule(tmp_path), "assets/TIR/href", href))


def test_only_allowed_hosts(tmp_path: Path, host: FaultServer, elsewhere: FaultServer) -> None:
    here, there = (write_granule(tmp_path, item_id=name) for name in ("here", "there"))
    name = Path(here["assets"]["TIR"]["href"]).name
    here["assets"]["TIR"]["href"] = f"{host.url}/{name}"
    there["assets"]["TIR"]["href"] = f"{elsewhere.url}/{name}"
    ds = open_stac([here, there], network=HASTY, allowed_hosts=["127.0.0.1"])
    assert "allowed_hosts= does not list" in skipped(ds)["there"]
    host.faults[name] = [(302, {"Location": f"{elsewhere.url}/{name}"})]
    strict = open_stac(here, network=HASTY, allowed_hosts=["127.0.0.1"], errors="raise")
    with pytest.raises(errors.ReadError, match="redirect leads to localhost"):
        strict["tir"].load()
    assert not elsewhere.times


def test_a_login_goes_to_its_hosts_only(
    tmp_path: Path, host: FaultServer, elsewhere: FaultServer
) -> None:
    here = write_granule(tmp_path, item_id="here", time="2001-01-06T00:00:00Z")
    there = write_granule(
        elsewhere.folder, item_id="there", time="2001-01-22T00:00:00Z", dn=numbers(seed=1)
    )
    for item, server in ((here, host), (there, elsewhere)):
        name = Path(item["assets"]["TIR"]["href"]).name
        item["assets"]["TIR"]["href"] = f"{server.url}/{name}"

    def fetch() -> dict[str, str]:
        return {"GDAL_HTTP_HEADERS": "Authorization: Bearer the-secret, X-Api-Key: the-secret"}

    with pytest.raises(errors.StacError, match=r"several hosts.*hosts=\(\.\.\.\)"):
        open_stac([here, there], modifier=Login(fetch), network=HASTY)
    login = Login(fetch, hosts=("127.0.0.1",))
    ds = open_stac([here, there], modifier=login, network=HASTY)
    assert ds["tir"].to_numpy().any(axis=(1, 2, 3)).all()
    assert all(one["Authorization"] == "Bearer the-secret" for one in host.headers)
    assert all(one["X-Api-Key"] == "the-secret" for one in host.headers)
    assert elsewhere.headers
    assert "secret" not in json.dumps(elsewhere.headers)
    # Nor does it follow a redirect.
    moved = change(here, "assets/TIR/href", f"{host.url}/moved_TIR.tif")
    host.faults["moved_TIR.tif"] = [(302, {"Location": there["assets"]["TIR"]["href"]})]
    assert open_stac(moved, modifier=Login(fetch), network=HASTY)["tir"].to_numpy().any()
    assert "secret" not in json.dumps(elsewhere.headers)


SECRETS = [
    "?sig=SECRET",
    "?jwt=SECRET",
    "?key=SECRET",
    "?auth_token=SECRET",
    "?Authorization=Bearer%20SECRET",
    "?hdnea=exp=1~acl=/*~hmac=SECRET",
    "?verify=1-SECRET",
    "?X-Amz-Signature=SECRET&X-Amz-Credential=SECRET",
    "?SECRET",
    "#token=SECRET",
    ";sig=SECRET",
    ";SECRET?a=b",
]
SECRET_LINKS = [
    *(f"http://{{host}}/{{name}}{secret}" for secret in SECRETS),
    "http://SECRET:SECRET@{host}/{name}",
    "http://{host}/hdnea=exp=1~hmac=SECRET/{name}",
    "http://{host}/eyJSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRET/{name}",
    "/vsicurl?use_head=no&url=http%3A%2F%2F{host}%2F{name}%3Fsig%3DSECRET",
    "/vsicurl/http://{host}/{name}?sig=SECRET",
]


@pytest.mark.parametrize("form", SECRET_LINKS)
def test_secrets_in_links_stay_in_this_process(
    tmp_path: Path, host: FaultServer, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    item = write_granule(tmp_path, item_id="granule")
    name = Path(item["assets"]["TIR"]["href"]).name
    server = host.url.removeprefix("http://")
    href = form.format(host=server, name=name)
    path = Path(item["assets"]["TIR"]["href"])
    for folder in ("hdnea=exp=1~hmac=SECRET", "eyJSECRET" + "SECRET" * 7):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(path.read_bytes())
    item = change(item, "assets/TIR/href", href)
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("urllib3").setLevel(logging.DEBUG)
        ds = open_stac(item, network=HASTY)
        graph = cloudpickle.dumps(dict(ds["tir"].data.__dask_graph__()))
        shown = repr(ds.attrs) + ds._repr_html_() + repr(dict(ds["tir"].data.__dask_graph__()))
        if ";" not in form:  # the server has no such file
            assert ds["tir"].to_numpy().any()
        host.faults[".tif"] = [404]
        fresh = change(item, "assets/TIR/href", href.replace("granule", "other"))
        other = open_stac(fresh, network=HASTY, errors="raise")
        with pytest.raises(errors.ReadError) as caught:
            other["tir"].load()
    said = repr(caught.value) + repr(caught.value.__cause__) + repr(caught.value.__context__)
    for what in (graph.decode("latin1"), shown, said, caplog.text):
        assert "SECRET" not in what
    assert pickle.loads(graph)


@pytest.mark.parametrize(
    "href",
    [
        "https://a.test/TIR/32650/129/49/2001-01-06/AST_L1T_00301062001031139_83940_TIR.tif",
        "https://a.test/x.tif?versionId=3HL4kqCxf3vjVBH40Nrjfkd",
        "s3://bucket/year=2001/month=01/x%20y.tif",
        "/a/local path/x.tif",
    ],
)
def test_what_is_no_secret_is_kept(href: str) -> None:
    assert kept(href) == href


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Basic U0VDUkVU SECRET",
        "headers={'X-Api-Key': 'SECRET'}",
        "Cookie: session=SECRET; other=SECRET",
        "GET https://a.test/hdnea=st~SECRET/x.tif failed",
        "at https://a.test/x.tif;sig=SECRET now",
        "at s3://SECRET:SECRET@bucket/x.tif now",
        "https://a.test/x#SECRET",
    ],
)
def test_messages_show_no_secret(text: str) -> None:
    assert "SECRET" not in redact(text)
    assert redact(redact(text)) == redact(text)


def test_a_tiff_given_as_an_item(tmp_path: Path) -> None:
    item = write_granule(tmp_path)
    with pytest.raises(errors.StacError, match=r"is no JSON \(it is a TIFF raster\)"):
        open_stac(item["assets"]["TIR"]["href"])


@pytest.mark.parametrize("kind", ["pipe", "folder", "huge", "deep"])
def test_item_files_that_are_none(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "item.json"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(2**40)
    else:
        path.write_text("[" * 200_000)
    with pytest.raises(errors.StacError, match=r"item\.json"):
        open_stac(path)


def test_a_device_as_an_elevation_model(tmp_path: Path) -> None:
    with pytest.raises(errors.ReadError, match="a pipe or device"):
        open_stac(write_granule(tmp_path), dem="/dev/zero")


def test_a_bundle_with_a_pipe(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    os.mkfifo(folder / "bundle.json")
    with pytest.raises(errors.BundleError, match="a pipe or a device"):
        load_bundle(folder)
    assert stat.S_ISFIFO((folder / "bundle.json").stat().st_mode)


def test_a_catalogue_of_which_a_part_is_broken(tmp_path: Path, host: FaultServer) -> None:
    item = write_granule(tmp_path)
    (tmp_path / "c").mkdir()
    write_item(tmp_path / "c" / "item.json", item)
    (tmp_path / "c" / "torn.json").write_text('{"type": "Feat')
    links = [{"rel": "item", "href": f"./{name}.json"} for name in ("item", "torn", "none")]
    links += [{"rel": "child", "href": "./catalog.json"}, "text", {"rel": "item", "href": 5}]
    catalogue = {"type": "Catalog", "id": "c", "stac_version": "1.0.0", "description": "c"}
    (tmp_path / "c" / "catalog.json").write_text(json.dumps({**catalogue, "links": links[:3]}))
    ds = open_stac(tmp_path / "c" / "catalog.json")
    assert set(skipped(ds)) == {"torn.json", "none.json"}
    assert len(search(tmp_path / "c")) == 1
    # From an address, the same item may not name local files.
    with pytest.raises(errors.StacError, match="names the local file"):
        open_stac(f"{host.url}/c/catalog.json", network=HASTY)


def test_items_of_a_living_service_name_no_local_file(tmp_path: Path) -> None:
    catalogue = pystac.Catalog("c", "test", href="https://a.test/catalog.json")
    item = pystac.Item.from_dict(write_granule(tmp_path), root=catalogue)
    with pytest.raises(errors.NoItemsError, match="names the local file"):
        open_stac(item)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"resolution": 1e9}, errors.InputError, "from 1 to 10000, or 'native'"),
        ({"resolution": float("nan")}, errors.InputError, "positive number"),
        ({"resolution": "fine"}, errors.InputError, "or 'native'"),
        ({"bbox": (500000, 1700000, 560000, 1760000)}, errors.InputError, "in degrees"),
        ({"bbox": (float("nan"), 15, 116, 16)}, errors.InputError, "in degrees"),
        ({"resolution": 1.0, "bbox": (100, -10, 130, 40)}, errors.GridError, "more than"),
    ],
)
def test_grids_that_are_none(
    tmp_path: Path, options: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        open_stac(write_granule(tmp_path), **options)


def test_native_pixels_of_items_that_share_none(tmp_path: Path) -> None:
    one = write_granule(tmp_path, item_id="one")
    other = write_granule(tmp_path, item_id="other", affine=transform(pixel=(90.0, 90.0)))
    assert open_stac(one, resolution="native").sizes["x"] == 90
    with pytest.raises(errors.GridError, match="no native grid serves both; give a resolution"):
        open_stac([one, other], resolution="native")
