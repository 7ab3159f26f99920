from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import dask
import pytest
import rasterio
import xarray as xr
from granules import FileHost, serve, write_granule

from aktes_xr import errors
from aktes_xr.stac import Login, open_stac
from aktes_xr.stac import signing as login
from aktes_xr.stac.signing import bare_href, signed_href


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FileHost]:
    with serve(tmp_path, token="first-secret") as found:
        yield found


def remote(
    folder: Path, host: FileHost, item_id: str = "granule"
) -> tuple[dict[str, Any], xr.Dataset]:
    """A granule's item with its file on the host, and the cube of the file itself."""
    item = write_granule(folder, item_id=item_id)
    wanted = open_stac(item).load()
    name = Path(item["assets"]["TIR"]["href"]).name
    item["assets"]["TIR"]["href"] = f"{host.url}/{name}"
    return item, wanted


def test_credentials_are_fetched_where_they_are_needed(tmp_path: Path, host: FileHost) -> None:
    item, wanted = remote(tmp_path, host)
    # Of a file it knows, GDAL keeps what it read.
    another, wanted_too = remote(tmp_path, host, "another")
    calls = []

    def fetch() -> dict[str, str]:
        calls.append(host.token)
        return {"GDAL_HTTP_HEADERS": f"Authorization: Bearer {host.token}"}

    ds = open_stac(item, modifier=Login(fetch))
    assert not calls
    assert "secret" not in repr(dict(ds["tir"].data.__dask_graph__())) + repr(ds.attrs)
    xr.testing.assert_identical(ds.compute(), wanted)
    xr.testing.assert_identical(ds.compute(), wanted)
    assert calls == ["first-secret"], "one fetch serves ten minutes"
    host.token = "second-secret"
    xr.testing.assert_identical(open_stac(another, modifier=Login(fetch)).compute(), wanted_too)
    assert calls == ["first-secret", "second-secret"], "and a refusal renews it"


def test_a_refusal_says_what_helps(tmp_path: Path, host: FileHost) -> None:
    item, _ = remote(tmp_path, host)
    with pytest.raises(errors.ReadError, match=r"403.*aktes_xr\.stac\.Login") as caught:
        open_stac(item)["tir"].load()
    assert "secret" not in str(caught.value)
    wrong = Login(lambda: {"GDAL_HTTP_HEADERS": "Authorization: Bearer wrong-secret"})
    with pytest.raises(errors.ReadError, match="403") as caught:
        open_stac(item, modifier=wrong)["tir"].load()
    assert "secret" not in str(caught.value) + repr(caught.value.__context__)


def test_an_enclosing_environment_serves_all_threads(tmp_path: Path, host: FileHost) -> None:
    item, wanted = remote(tmp_path, host)
    with rasterio.Env(GDAL_HTTP_HEADERS="Authorization: Bearer first-secret"):
        ds = open_stac(item)
    graph = dict(ds["tir"].data.__dask_graph__())
    assert "secret" not in repr(graph)
    with dask.config.set(scheduler="threads"):
        xr.testing.assert_identical(ds.compute(), wanted)


def test_an_environment_goes_to_no_other_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with rasterio.Env(GDAL_HTTP_HEADERS="Authorization: Bearer first-secret"):
        modifier = login.with_environment(None)
    assert isinstance(modifier, Login)
    assert b"secret" not in pickle.dumps(modifier)
    monkeypatch.setattr(login, "_environments", {})
    monkeypatch.setattr(login, "_fetched", {})
    with pytest.raises(errors.StacError, match=r"no task carries.*Login\(function\)"):
        modifier.options()


def test_without_an_environment_nothing_changes() -> None:
    assert login.with_environment(None) is None
    with rasterio.Env():
        already = Login(dict)
        assert login.with_environment(already) is already


def test_a_login_signs_only_with_a_modifier() -> None:
    bare, signing = Login(dict), Login(dict, lambda link: f"{link}?sig=fresh")
    versioned = "https://a.test/x.tif?versionId=3"
    assert bare_href(versioned, bare) == versioned
    assert signed_href(versioned, bare) == versioned
    assert bare_href(versioned, signing) == "https://a.test/x.tif"
    assert signed_href("https://a.test/x.tif", signing) == "https://a.test/x.tif?sig=fresh"
    assert bare({"id": "x"}) == {"id": "x"}


def test_copies_of_a_login_fetch_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook's function travels by value: each task has its own."""
    monkeypatch.setattr(login, "_fetched", {})
    sent = cloudpickle.dumps(Login(lambda: {"GDAL_HTTP_USERAGENT": str(os.urandom(8))}))
    first, second = cloudpickle.loads(sent), cloudpickle.loads(sent)
    assert first.fetch is not second.fetch
    assert first.options() == second.options()
    assert len(login._fetched) == 1


def test_what_is_fetched_must_be_options() -> None:
    with pytest.raises(errors.StacError, match="returned str, expected options"):
        Login(lambda: json.dumps({})).options()  # type: ignore[arg-type, return-value]
