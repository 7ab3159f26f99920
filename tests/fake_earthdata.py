"""NASA's archive without a network: earthaccess with its own types, a login and a few granules."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

earthaccess = pytest.importorskip("earthaccess")

TOKEN = "token-that-nobody-may-see"
LINK = f"https://data.example.nasa.gov/prod/MOD35_L2/{{name}}?Signature={TOKEN}"


def granule(*names: str) -> Any:
    """A granule as the search returns it."""
    links = [{"Type": "GET DATA", "URL": LINK.format(name=name).split("?")[0]} for name in names]
    return earthaccess.DataGranule(
        {"meta": {"concept-id": names[0]}, "umm": {"GranuleUR": names[0], "RelatedUrls": links}}
    )


@dataclass
class Archive:
    """What the archive holds by the moment asked for, and what it was asked."""

    holds: dict[str, list[Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    downloaded: list[str] = field(default_factory=list)
    failure: Exception | None = None


def install(
    monkeypatch: pytest.MonkeyPatch, archive: Archive, write: Callable[[Path, str], Any]
) -> None:
    """Have earthaccess search and download here; its checks of what it is asked stay."""

    class Query(earthaccess.DataGranules):  # type: ignore[misc]
        def hits(self) -> int:
            archive.asked.append(self._build_url())
            return len(self.get_all())

        def get_all(self) -> list[Any]:
            moment = str(self.params.get("temporal", [""])[0]).split(",")[0]
            return archive.holds.get(moment, [])

    def download(granules: list[Any], place: str, **options: Any) -> list[Path]:
        if archive.failure is not None:
            logging.getLogger("earthaccess.store").error("could not read %s", LINK)
            Path(place, "half.hdf").write_bytes(b"half")
            raise archive.failure
        names = [link.rsplit("/", 1)[-1] for one in granules for link in one.data_links()]
        archive.downloaded += names
        for name in names:
            write(Path(place), name)
        return [Path(place, name) for name in names]

    logged_in = earthaccess.Auth()
    logged_in.authenticated = True
    monkeypatch.setattr(earthaccess, "login", lambda **options: logged_in)
    monkeypatch.setattr("earthaccess.api.DataGranules", Query)
    monkeypatch.setattr(earthaccess, "__auth__", logged_in, raising=False)
    monkeypatch.setattr(earthaccess, "download", download)
