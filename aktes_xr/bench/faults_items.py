"""Items that are misshapen, far away or named to deceive, and local files that are no granules."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

import numpy as np

from aktes_xr.bench.fault_results import dates_of
from aktes_xr.bench.fault_rows import Outcome, fault
from aktes_xr.bench.fault_stage import Ended, Stage
from aktes_xr.store import open_result

_GOOD: Final = 3
MISSHAPEN: Final[tuple[tuple[str, Any], ...]] = (
    ("properties/view:sun_elevation", "n/a"),
    ("properties/view:off_nadir", 80),
    ("properties/view:off_nadir", 1000),
    ("properties/view:off_nadir", float("inf")),
    ("assets/TIR/proj:shape", "xx"),
    ("assets/TIR/proj:shape", [128]),
    ("assets/TIR/proj:shape", [0, 0]),
    ("assets/TIR/proj:transform", [90.0, 0.0, 1.0]),
    ("assets/TIR/proj:transform", [float("inf"), 0, 1, 0, -90, 1]),
    ("assets/TIR/eo:bands", "text"),
    ("assets/TIR/roles", 5),
    ("assets/TIR", "text"),
    ("links", ["x"]),
    ("id", "\ud800"),
)
"""Where a value of a wrong kind is put, and the value."""


def changed(item: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """Return an item with one value replaced.

    Parameters
    ----------
    item : dict
        A STAC item.
    place : str
        Names of members, with slashes in between.
    value : Any
        What to put there.

    Returns
    -------
    dict
    """
    found: dict[str, Any] = json.loads(json.dumps(item))
    holder: Any = found
    *way, last = place.split("/")
    for step in way:
        holder = holder[step]
    holder[last] = value
    return found


def beside_good_ones(stage: Stage, bad: list[Any], **how: Any) -> tuple[Ended, int]:
    """Run with some good items and bad ones.

    Parameters
    ----------
    stage : Stage
    bad : list
        Items, or what should be some.
    **how : Any
        Of `Stage.run`.

    Returns
    -------
    (Ended, int)
        How it ended, and how many of the good dates are as undisturbed.
    """
    ended = stage.run(items=[*stage.items[:_GOOD], *stage.write(bad)], **how)
    good = {stage.item(number)["id"] for number in range(_GOOD)}
    return ended, len(good & dates_of(stage)[0])


def _judged(ended: Ended, same: int, named: int, of: int) -> Outcome:
    holds = ended.code == 3 and ended.plain and same == _GOOD and named == of
    return Outcome(f"{ended}, {same} of {_GOOD} good dates the same, {named} of {of} named", holds)


@fault("items", expected="3, good dates the same, each named")
def misshapen(stage: Stage) -> Outcome:
    """Fourteen values of wrong kinds, each in an item of its own."""
    bad = [
        changed(stage.item(5 + number % 6, id=f"bad-{number:02d}"), place, value)
        for number, (place, value) in enumerate(MISSHAPEN)
    ]
    ended, same = beside_good_ones(stage, bad)
    left_out = [line for line in ended.said.splitlines() if line.startswith("left out ")]
    return _judged(ended, same, len(set(left_out)), len(bad))


@fault("items", expected="3, good dates the same, the limit named")
def claims_a_million_rows(stage: Stage) -> Outcome:
    """A raster that claims 10^6 x 10^6 pixels."""
    bad = changed(stage.item(5, id="bad"), "assets/TIR/proj:shape", [10**6, 10**6])
    ended, same = beside_good_ones(stage, [bad])
    return _judged(ended, same, ended.said.count("left out bad: "), 1)


@fault("items", expected="3, same grid, named with the distance")
def far_away(stage: Stage) -> Outcome:
    """One granule 5,000 km away."""
    item = stage.item(5, id="away")
    place = item["assets"]["TIR"]["proj:transform"]
    bad = changed(
        item, "assets/TIR/proj:transform", [*place[:5], place[5] + 5_000_000.0, *place[6:]]
    )
    ended, same = beside_good_ones(stage, [bad])
    return _judged(ended, same, min(ended.said.count("from the other items"), 1), 1)


@fault("items", expected="3, good dates the same, each unreadable")
def wrong_local_files(stage: Stage) -> Outcome:
    """Local files of wrong type, band count or CRS, a VRT, a text, a folder, a pipe."""
    kinds = ("dtype", "bands", "crs", "vrt", "text", "folder", "pipe")
    bad = [
        stage.item(5 + number, href=str(_spoiled(stage, kind))) for number, kind in enumerate(kinds)
    ]
    ended, same = beside_good_ones(stage, bad)
    return _judged(ended, same, ended.said.count("could not be read in 100.00%"), len(bad))


@fault("items", expected="3, escapes only, also in the store")
def control_characters(stage: Stage) -> Outcome:
    """Control characters and marks of direction in ids."""
    name = "a\x1b]0;owned\x07\u202eb\x1b[2J"
    bad = [stage.item(5, id=name), changed(stage.item(6, id=name + "2"), "assets/TIR", 5)]
    ended, same = beside_good_ones(stage, bad)
    kept = json.dumps(open_result(stage.out).attrs, default=str, ensure_ascii=False)
    kept += "".join(map(str, open_result(stage.out)["item_id"].to_numpy()))
    raw = any(mark in ended.said + ended.told + kept for mark in "\x1b\x07\u202e")
    holds = ended.code == 3 and ended.plain and same == _GOOD and not raw
    return Outcome(f"{ended}, {'RAW' if raw else 'none raw'}", holds)


@fault("items", expected="3, good dates the same, each named", own=True)
def impossible_years(stage: Stage) -> Outcome:
    """Items of the years 1 and 9999."""
    years = ("0001", "9999")
    bad = [
        changed(
            stage.item(5 + number, id=f"bad-{year}"),
            "properties/datetime",
            f"{year}-01-01T00:00:00Z",
        )
        for number, year in enumerate(years)
    ]
    ended, same = beside_good_ones(stage, bad)
    named = sum(f"left out bad-{year}" in ended.said for year in years)
    return _judged(ended, same, named, 2)


@fault("items", expected="0, each date once", own=True)
def given_twice(stage: Stage) -> Outcome:
    """The same items given twice."""
    ended = stage.run(items=[*stage.items[:_GOOD], *stage.items[:_GOOD]])
    dates = open_result(stage.out).sizes["time"]
    same = len(dates_of(stage)[0])
    holds = ended.code == 0 and dates == _GOOD
    return Outcome(f"{ended}, {dates} dates, {same} the same", holds)


@fault("items", expected="3, good dates the same", own=True)
def numbers_without_end(stage: Stage) -> Outcome:
    """A number of 5,000 digits, a nest of 100,000 brackets, and no text at all."""
    folder = stage.folder / "items"
    folder.mkdir()
    texts = ('{"type": "Feature", "id": ' + "9" * 5000 + "}", "[" * 100_000, "")
    for number, text in enumerate(texts):
        (folder / f"bad-{number}.json").write_text(text, encoding="utf-8")
    bad = [str(folder / f"bad-{number}.json") for number in range(len(texts))]
    ended = stage.run(items=[*stage.items[:_GOOD], *bad])
    named = sum(f"left out bad-{number}.json" in ended.said for number in range(len(texts)))
    return _judged(ended, len(dates_of(stage)[0]), named, len(texts))


@fault("items", expected="3, good dates the same, nothing read for ever", own=True)
def a_directory_that_loops(stage: Stage) -> Outcome:
    """TIFF files whose directory leads to itself, or out of the file."""
    source = Path(stage.item(5)["assets"]["TIR"]["href"]).read_bytes()
    bad = []
    for number in range(2):
        content = bytearray(source)
        start = int.from_bytes(content[4:8], "little")
        entries = int.from_bytes(content[start : start + 2], "little")
        follows = start + 2 + 12 * entries
        target = start if number == 0 else 2**31
        content[follows : follows + 4] = target.to_bytes(4, "little")
        path = stage.folder / f"loop-{number}.tif"
        path.write_bytes(content)
        bad.append(stage.item(5 + number, href=str(path)))
    ended, same = beside_good_ones(stage, bad)
    # The first directory is whole: to read its pixels is as right as to refuse the file.
    holds = ended.code in (0, 3) and ended.plain and same == _GOOD
    return Outcome(f"{ended}, {same} of {_GOOD} good dates the same", holds)


def _spoiled(stage: Stage, kind: str) -> Path:
    """Make a local file that is no granule."""
    import rasterio

    path = stage.folder / f"{kind}.tif"
    if kind == "text":
        path.write_text("no raster", encoding="utf-8")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "vrt":
        path.write_text(vrt(str(stage.item(0)["assets"]["TIR"]["href"])), encoding="utf-8")
    else:
        with rasterio.open(stage.item(5)["assets"]["TIR"]["href"]) as file:
            pixels, profile = file.read(), {**file.profile, "driver": "GTiff"}
        if kind == "dtype":
            pixels, profile["dtype"] = pixels.astype(np.float32), "float32"
        elif kind == "bands":
            pixels, profile["count"] = pixels[:3], 3
        else:
            profile["crs"] = None
        with rasterio.open(path, "w", **profile) as file:
            file.write(pixels)
    return path


def vrt(source: str) -> str:
    """Return a virtual raster of GDAL that shows another file's five bands.

    Parameters
    ----------
    source : str
        The other file.

    Returns
    -------
    str
        XML.
    """
    bands = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{band}"><SimpleSource><SourceFilename>{source}'
        f"</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        for band in range(1, 6)
    )
    return (
        '<VRTDataset rasterXSize="160" rasterYSize="160"><SRS>EPSG:32633</SRS>'
        f"<GeoTransform>300000, 90, 0, 4400000, 0, -90</GeoTransform>{bands}</VRTDataset>"
    )
