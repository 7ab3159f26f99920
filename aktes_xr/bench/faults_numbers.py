"""Numbers at and beyond the ends of their scales, and shapes as small as they get."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from aktes_xr.bench.fault_results import dates_of
from aktes_xr.bench.fault_rows import Outcome, fault
from aktes_xr.bench.fault_stage import Stage
from aktes_xr.bench.scale_cubes import write_granules
from aktes_xr.cube.quality import METHOD_MASK, QualityFlag
from aktes_xr.store import open_result

_LEVELS: Final = (0, 1, 4095, 5000, 60_000, 65_535)
_INFINITE: Final = """
import sys
import numpy as np
from aktes_xr import open_stac, retrieve
from aktes_xr.errors import InputError
cube = open_stac(sys.argv[2:])
units = {"water_vapor": "kg m-2", "air_temperature": "K", "view_zenith": "degree"}
for name, unit in units.items():
    values = np.full(cube.sizes["time"], 3.0 if name == "view_zenith" else 290.0)
    values[0] = np.inf
    try:
        retrieve(cube.assign({name: ("time", values, {"units": unit})}), bundle=sys.argv[1])
        print(name, "accepted")
    except InputError as error:
        print(name, "named" if name in str(error) and "infinite" in str(error) else error)
"""


@fault("numbers", expected="an input error that names the variable")
def infinite(stage: Stage) -> Outcome:
    """Infinite water vapour, air temperature or view angle."""
    ended = stage.python(_INFINITE, stage.bundle, *stage.items[:2])
    lines = ended.told.split("\n")[:-1]
    holds = ended.code == 0 and len(lines) == 3 and all(line.endswith(" named") for line in lines)
    return Outcome("; ".join(lines) or str(ended), holds)


@fault("numbers", expected="fill or a flag, nothing passes as sound")
def ends_of_the_scale(stage: Stage) -> Outcome:
    """Digital numbers all 0, 1, 4095, 5000, 60000 or 65535."""
    import rasterio

    bad = []
    for number, level in enumerate(_LEVELS):
        item = stage.item(number)
        path = stage.folder / f"level-{level}.tif"
        with rasterio.open(item["assets"]["TIR"]["href"]) as file:
            profile = {**file.profile, "driver": "GTiff"}
        with rasterio.open(path, "w", **profile) as file:
            file.write(np.full((5, 160, 160), level, np.uint16))
        bad.append(stage.item(number, href=str(path)))
    ended = stage.run(items=stage.write(bad))
    found = open_result(stage.out).load()
    quality = found["quality"].to_numpy()
    warned = np.uint16(0xFFFF) & ~np.uint16(METHOD_MASK)
    warned &= ~np.uint16(QualityFlag.NO_ELEVATION | QualityFlag.ANCILLARY_MISSING)
    sound = found["surface_temperature"].notnull().to_numpy() & ((quality & warned) == 0)
    flags = [int(one.flat[0]) for one in quality]
    saturated = all(flag & QualityFlag.SATURATED for flag in flags[2:5])
    holds = ended.code == 3 and ended.plain and not sound.any() and saturated
    holds = holds and bool(flags[0] & QualityFlag.FILL)
    return Outcome(f"{ended}, {int(sound.any(axis=(1, 2)).sum())} of 6 dates pass", holds)


@fault("numbers", expected="0 each, a result of that size")
def small(stage: Stage) -> Outcome:
    """Granules of 1 x 1, 1 x 7 and 2 x 2 pixels, each then replaced by itself."""
    said, holds = [], True
    for shape in ((1, 1), (1, 7), (2, 2)):
        folder = stage.folder / "items" / f"{shape[0]}x{shape[1]}"
        folder.mkdir(parents=True)
        paths = stage.write(write_granules(folder, 1, shape))
        out = stage.folder / f"{folder.name}.zarr"
        first, again = (
            stage.run(items=paths, out=out),
            stage.run("--overwrite", items=paths, out=out),
        )
        sizes = open_result(out).sizes
        holds &= first.code == again.code == 0 and (sizes["y"], sizes["x"]) == shape
        said.append(f"{shape[0]} x {shape[1]}: {first}, {again}")
    return Outcome("; ".join(said), holds)


@fault("numbers", expected="int16 and float: 3, that date unreadable")
def other_types(stage: Stage) -> Outcome:
    """Files of int16, float and complex numbers."""
    import rasterio

    bad = []
    for number, kind in enumerate(("int16", "float64", "complex64")):
        item = stage.item(5 + number)
        with rasterio.open(item["assets"]["TIR"]["href"]) as file:
            pixels, profile = file.read(), {**file.profile, "driver": "GTiff", "dtype": kind}
        path = Path(stage.folder, f"{kind}.tif")
        with rasterio.open(path, "w", **profile) as file:
            file.write(pixels.astype(kind))
        bad.append(stage.item(5 + number, href=str(path)))
    ended = stage.run(items=[*stage.items[:2], *stage.write(bad)])
    same, empty = dates_of(stage)
    holds = ended.code == 3 and ended.plain and len(same) == 2 and len(empty) == 3
    return Outcome(f"{ended}, {len(same)} of 2 good dates the same, {len(empty)} empty", holds)
