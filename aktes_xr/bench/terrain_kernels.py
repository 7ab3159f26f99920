"""Terrain kernels beside the tools people use: one run, one DEM, one thread each.

The gdaldem command (GDAL, its start-up included and stated) writes one index to a memory file,
xarray-spatial computes slope and aspect, rvt-py the sky view. All run in one thread, so processor
time is what they cost; unlike elapsed time it does not count what else the machine does. A tool
that is not installed leaves its claim unproven, which is not the same as true: the check then
fails, and the table says what to install.
"""

from __future__ import annotations

import importlib.util
import math
import resource
import shutil
import subprocess
import tempfile
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.terrain.block import (
    INDICES,
    TerrainSettings,
    block_indices,
    local_indices_array,
    sky_view_array,
    slope_aspect_array,
)

_CELL_M = 90.0
_SIZE = 2000
_QUICK_SIZE = 800
_AZIMUTHS = 32
_QUICK_AZIMUTHS = 8
_RADIUS_M = 10_000.0
_RADII_M = (2_000.0, 5_000.0, 10_000.0, 20_000.0)
_GDALDEM = ("slope", "TRI", "TPI", "roughness")
# At twenty kilometres a hull holds more points than at two. The cost may grow by this much.
_FLATNESS = 1.5


def run(*, quick: bool) -> BenchResult:
    """Measure speed, flatness in radius and memory of the terrain kernels.

    Parameters
    ----------
    quick : bool
        Compare the sky view in 8 azimuths instead of 32, and try radii on 800 x 800 pixels instead
        of 2000 x 2000.
    """
    whole = _dem(_SIZE)
    dem = np.ascontiguousarray(whole[:_QUICK_SIZE, :_QUICK_SIZE]) if quick else whole
    _warm_up(dem)
    rows: list[list[Any]] = []
    checks = [
        _against_gdaldem(whole, rows),
        _against_xarray_spatial(whole, rows),
        _against_sky_view(whole, rows, _QUICK_AZIMUTHS if quick else _AZIMUTHS),
    ]
    radii, flat = _flatness(dem)
    memory = _memory(whole)
    return BenchResult(
        checks=(*checks, flat, memory),
        tables=(
            Table("Side by side, one thread each", ("what", "tool", "processor s"), rows),
            Table("Sky view and radius", ("radius m", "processor s per azimuth"), radii),
        ),
    )


def _dem(size: int) -> NDArray[np.float32]:
    """Fractal relief of about 2 km: power falls with the third power of the wave number."""
    rng = np.random.default_rng(20)
    ky, kx = np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij")
    amplitude = np.maximum(np.hypot(ky, kx), 1.0 / size) ** -1.8
    relief = np.fft.irfft2(
        np.fft.rfft2(rng.standard_normal((size, size))) * amplitude, (size, size)
    )
    relief *= 400.0 / relief.std()
    dem: NDArray[np.float32] = (relief - relief.min()).astype(np.float32)
    return dem


def _warm_up(dem: NDArray[np.float32]) -> None:
    part = np.ascontiguousarray(dem[:40, :40])
    cell = (_CELL_M, _CELL_M)
    block_indices(part, TerrainSettings(cell))
    slope_aspect_array(part, cell)
    sky_view_array(part, cell)


def _together(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Least processor time of each, s, taken in turns: a busy moment then falls on all alike."""
    times = dict.fromkeys(works, math.inf)
    for _ in range(rounds):
        for name, work in works.items():
            times[name] = min(times[name], _best(work, 1))
    return times


def _processor_time() -> float:
    """Processor time of this process and of its finished children, s."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _best(work: Callable[[], object], repeats: int) -> float:
    """Least processor time of several runs, s."""
    times = []
    for _ in range(repeats):
        start = _processor_time()
        work()
        times.append(_processor_time() - start)
    return min(times)


def _unproven(name: str, target: float, hint: str, rows: list[list[Any]]) -> Check:
    rows.append([name, f"not measured: {hint}", None])
    return Check(name, math.nan, target, "1", False)


def _against_gdaldem(dem: NDArray[np.float32], rows: list[list[Any]]) -> Check:
    name = "gdaldem command, its fastest index / all 3 x 3 indices"
    program = shutil.which("gdaldem")
    if program is None:
        return _unproven(name, 1.0, "gdaldem not found; install gdal-bin", rows)
    with tempfile.TemporaryDirectory() as folder:
        whole, tiny = Path(folder, "dem.tif"), Path(folder, "tiny.tif")
        _write(dem, whole)
        _write(dem[:8, :8], tiny)

        def gdaldem(mode: str, path: Path) -> None:
            command = [program, mode, str(path), "/vsimem/out.tif", "-q", "-compute_edges"]
            subprocess.run(command, check=True, capture_output=True)

        works: dict[str, Callable[[], object]] = {
            "ours": partial(local_indices_array, dem, (_CELL_M, _CELL_M)),
            "start-up": partial(gdaldem, "slope", tiny),
            **{mode: partial(gdaldem, mode, whole) for mode in _GDALDEM},
        }
        measured = _together(works, 9)
    ours, start_up = measured["ours"], measured["start-up"]
    times = {mode: measured[mode] for mode in _GDALDEM}
    rows.append([f"all seven 3 x 3 indices, {dem.shape[0]} x {dem.shape[1]}", "aktes_xr", ours])
    rows.extend([mode, "gdaldem", seconds] for mode, seconds in times.items())
    rows.append(["of which start-up, reading and writing 8 x 8 pixels", "gdaldem", start_up])
    return Check.at_least(name, min(times.values()) / ours, 1.0, "1")


def _write(dem: NDArray[np.float32], path: Path) -> None:
    import rasterio

    profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "crs": "EPSG:32611"}
    shape = {"height": dem.shape[0], "width": dem.shape[1]}
    origin = rasterio.Affine(_CELL_M, 0.0, 500_000.0, 0.0, -_CELL_M, 4_000_000.0)
    with rasterio.open(path, "w", **profile, **shape, transform=origin) as target:
        target.write(dem, 1)


def _against_xarray_spatial(dem: NDArray[np.float32], rows: list[list[Any]]) -> Check:
    name = "xarray-spatial, slope and aspect / the same"
    if importlib.util.find_spec("xrspatial") is None:
        return _unproven(name, 3.0, "install xarray-spatial", rows)
    import xarray as xr
    import xrspatial

    field = xr.DataArray(dem, dims=("y", "x"), attrs={"res": (_CELL_M, _CELL_M)})

    def theirs() -> None:
        xrspatial.slope(field)
        xrspatial.aspect(field)

    theirs()
    ours = partial(slope_aspect_array, dem, (_CELL_M, _CELL_M))
    ours_s, theirs_s = _together({"ours": ours, "theirs": theirs}, 9).values()
    rows.append(["slope and aspect", "aktes_xr", ours_s])
    rows.append(["slope and aspect", "xarray-spatial", theirs_s])
    return Check.at_least(name, theirs_s / ours_s, 3.0, "1")


def _against_sky_view(dem: NDArray[np.float32], rows: list[list[Any]], azimuths: int) -> Check:
    name = f"rvt-py, sky view {azimuths} azimuths 10 km / the same"
    if importlib.util.find_spec("rvt") is None:
        return _unproven(name, 10.0, "pip install --no-deps rvt-py", rows)
    import rvt.vis

    cell = (_CELL_M, _CELL_M)
    ours = _best(lambda: sky_view_array(dem, cell, azimuths=azimuths, radius_m=_RADIUS_M), 2)
    theirs = _best(
        lambda: rvt.vis.sky_view_factor(
            dem,
            _CELL_M,
            compute_svf=True,
            svf_n_dir=azimuths,
            svf_r_max=int(_RADIUS_M / _CELL_M),
            svf_noise=0,
        ),
        1,
    )
    case = f"sky view, {dem.shape[0]} x {dem.shape[1]}, {azimuths} azimuths, {_RADIUS_M:g} m"
    rows.append([f"{case}, both factors", "aktes_xr", ours])
    rows.append([f"{case}, uniform", "rvt-py", theirs])
    return Check.at_least(name, theirs / ours, 10.0, "1")


def _flatness(dem: NDArray[np.float32]) -> tuple[list[list[Any]], Check]:
    # The radius must fit into the DEM. Otherwise rays end at its edge, and a large one costs
    # nothing.
    azimuths = 8
    cell = (_CELL_M / 2.0, _CELL_M / 2.0) if dem.shape[0] < _SIZE else (_CELL_M, _CELL_M)
    works: dict[str, Callable[[], object]] = {
        f"{radius:g}": partial(sky_view_array, dem, cell, azimuths=azimuths, radius_m=radius)
        for radius in _RADII_M
    }
    times = [seconds / azimuths for seconds in _together(works, 3).values()]
    rows = [list(row) for row in zip(_RADII_M, times, strict=True)]
    name = "sky view, longest / shortest time per azimuth, 2 to 20 km"
    return rows, Check.at_most(name, max(times) / min(times), _FLATNESS, "1")


def _memory(dem: NDArray[np.float32]) -> Check:
    """Peak beyond the input in arrays of the block's size, outputs included."""
    settings = TerrainSettings((_CELL_M, _CELL_M), azimuths=8, radius_m=2_000.0)
    block = np.ascontiguousarray(dem)
    block_indices(block, settings)
    tracemalloc.start()
    block_indices(block, settings)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    arrays = peak / block.nbytes - len(INDICES)
    # Round to a tenth, since row buffers are no arrays of the block's size.
    return Check.at_most("peak memory beyond input and outputs", round(arrays, 1), 3.0, "arrays")
