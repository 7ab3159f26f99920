from __future__ import annotations

import logging

import pytest

from aktes_xr.errors import StacError
from aktes_xr.stac.links import granule_name, redact
from aktes_xr.stac.signing import bare_href, signed_href

SECRETS = [
    "https://a.test/x.tif?sv=2020&sig=SECRET%3D",
    "could not open '/vsicurl/https://a.test/x.tif?st=1&sig=SECRET': 403",
    "'/vsicurl?url=https%3A%2F%2Fa.test%2Fx.tif&token=SECRET' does not exist",
    "https://me:SECRET@a.test/x.tif failed",
    "Authorization: Bearer SECRET.abc",
    "GET https://a.test/search?token=SECRET, then stopped",
]


@pytest.mark.parametrize("text", SECRETS)
def test_redaction(text: str) -> None:
    assert "SECRET" not in redact(text)
    assert redact(redact(text)) == redact(text)


def test_redaction_leaves_the_rest() -> None:
    assert redact("why? because x.tif") == "why? because x.tif"
    assert redact("https://a.test/x.tif?sig=1 is gone") == "https://a.test/x.tif?[redacted] is gone"


def test_rasterio_logs_are_redacted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        logging.getLogger("rasterio._env").error("CPLE in %s", "/vsicurl/http://a/x?sig=SECRET")
    assert "SECRET" not in caplog.text
    assert "/vsicurl/http://a/x?[redacted]" in caplog.text


def test_bare_links() -> None:
    def sign(link: str) -> str:
        return f"{link}?sig=fresh"

    assert bare_href("/data/x.tif", sign) == "/data/x.tif"
    assert signed_href("/data/x.tif", sign) == "/data/x.tif"
    assert bare_href("https://a.test/x.tif?sig=old", sign) == "https://a.test/x.tif"
    assert signed_href("https://a.test/x.tif", sign) == "https://a.test/x.tif?sig=fresh"
    # What is no signature is part of the address.
    assert bare_href("https://a.test/x.tif?versionId=3", None) == "https://a.test/x.tif?versionId=3"
    assert bare_href("https://a.test/y.tif?X-Amz-Signature=s", None) == "https://a.test/y.tif"
    assert signed_href("https://a.test/y.tif", None) == "https://a.test/y.tif?X-Amz-Signature=s"
    with pytest.raises(StacError, match="returned int for a link"):
        signed_href("https://a.test/x.tif", lambda link: 3)


def test_names_without_places() -> None:
    assert granule_name("https://a.test/b/x.tif?sig=1") == "x.tif"
    assert granule_name("/home/me/x.tif") == "x.tif"
