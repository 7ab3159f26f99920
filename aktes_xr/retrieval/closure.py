"""The radiative closure of a chunk that was retrieved; see `aktes_xr.radiative.closure`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from aktes_xr import sensor
from aktes_xr.cube.conditions import ConditionFlag
from aktes_xr.cube.quality import QualityFlag
from aktes_xr.models.features import N_OUTPUTS
from aktes_xr.radiative.closure import AIR, STATE, close, closure_tables
from aktes_xr.radiative.closure import CLOSURE as ROWS
from aktes_xr.retrieval.brightness import brightness, strips
from aktes_xr.retrieval.physics import SEA_LEVEL_HPA
from aktes_xr.retrieval.tiles import (
    CLOSURE,
    CLOSURE_PLANES,
    CONDITIONS,
    QUALITY,
    SCALARS,
    Chunk,
)

if TYPE_CHECKING:
    import xarray as xr

    from aktes_xr.compilation import Float32Array
    from aktes_xr.retrieval.surroundings import Calibration

TIMES_NOISE: Final = 3.0
"""A residual is flagged where it exceeds so many times noise and what the air's errors do."""
Closure = Literal["none", "sum", "bands"]
"""Nothing of the closure, its rms over the bands, or that and each band's residual."""
CLOSURE_COUNT: Final[dict[Closure, int]] = {"none": 0, "sum": 1, "bands": len(CLOSURE_PLANES)}
"""How many of the planes of the closure there are then."""
_AIR_TOLD: Final = frozenset({"water_vapor", "air_temperature"})
_N_BANDS: Final = len(sensor.BANDS)
_RMS: Final = ROWS.index("residual_rms")
_PROPAGATED: Final = ROWS.index("propagated_rms")
_FITTED: Final = ROWS.index("fitted")


def closure_kept(ds: xr.Dataset, wanted: bool | None, *, by_default: bool) -> Closure:
    """Settle what a retrieval keeps of its closure.

    Parameters
    ----------
    ds : Dataset
        A cube that `aktes_xr.cube.check` accepted.
    wanted : bool, optional
        Whether it is asked for. None: nobody has said.
    by_default : bool
        Whether to keep the sum then, where the air is told and closure costs next to nothing.

    Returns
    -------
    str
        ``"none"``, ``"sum"`` or ``"bands"``.
    """
    if wanted is not None:
        return "bands" if wanted else "none"
    return "sum" if by_default and set(ds.data_vars) >= _AIR_TOLD else "none"


def close_chunk(chunk: Chunk, tables: Calibration, out: Float32Array, *, kept: Closure) -> None:
    """Write the residuals of a chunk, and flag where they are too large.

    Parameters
    ----------
    chunk : Chunk
    tables : Calibration
        The sensor's calibration.
    out : ndarray (time, plane, y, x), float32
        Retrieved; the planes of the closure are written, and bits of quality and conditions added.
        NaN where nothing was retrieved.
    kept : str
        Not ``"none"``: which planes there are.
    """
    rows, columns = out.shape[2:]
    atmosphere = closure_tables()
    view = SCALARS.index("view_zenith")
    for date, planes in enumerate(out):
        angle = float(np.nan_to_num(chunk.scalars[date, view]))
        for window in strips(rows, columns):
            state, air = _inputs(chunk, tables, date, window, planes)
            _write(close(state, air, angle, atmosphere), planes[:, window], kept)


def _write(found: Float32Array, planes: Float32Array, kept: Closure) -> None:
    shape = planes.shape[1:]
    planes[CLOSURE] = found[_RMS].reshape(shape)
    if kept == "bands":
        planes[CLOSURE + 1 : CLOSURE + 1 + _N_BANDS] = found[:_N_BANDS].reshape(_N_BANDS, *shape)
    known = np.isfinite(found[_RMS])
    allowed = TIMES_NOISE * np.sqrt(sensor.NEDT_SPECIFICATION_K**2 + found[_PROPAGATED] ** 2)
    open_ = (known & (found[_RMS] > allowed)).reshape(shape)
    fitted = (known & (found[_FITTED] > 0)).reshape(shape)
    planes[QUALITY] += np.where(open_, np.float32(QualityFlag.NOT_CLOSED), np.float32(0))
    planes[CONDITIONS] += np.where(
        fitted, np.float32(ConditionFlag.ATMOSPHERE_FITTED), np.float32(0)
    )


def _inputs(
    chunk: Chunk, tables: Calibration, date: int, window: slice, planes: Float32Array
) -> tuple[Float32Array, Float32Array]:
    """Return the state and the air of some rows, as the kernel takes them."""
    rows, columns = window.stop - window.start, chunk.columns
    state = np.empty((len(STATE), rows * columns), np.float32)
    state[:_N_BANDS] = brightness(chunk, tables, date, window)
    state[_N_BANDS : _N_BANDS + N_OUTPUTS] = planes[:N_OUTPUTS, window].reshape(N_OUTPUTS, -1)

    def spread(field: Any) -> Float32Array:
        part = field[window] if field.shape[0] > 1 else field
        return np.array(np.broadcast_to(part, (rows, columns)), np.float32).reshape(-1)

    state[-1] = spread(chunk.static_plane("sky_view_factor"))
    air = np.stack([spread(chunk.dated_plane(name, date)) for name in AIR])
    pressure = air[-1]
    for other in (spread(chunk.static_plane("surface_pressure")), SEA_LEVEL_HPA):
        air[-1] = pressure = np.where(np.isnan(pressure), other, pressure)
    return state, air
