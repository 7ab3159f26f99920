r"""Which atmosphere explains a block of retrieved pixels best.

The fit is Levenberg's and Marquardt's [1]_: the step of Gauss and Newton with the diagonal of its
normal equations enlarged, less after a step that helps, more after one that does not, which is
taken back. Undamped steps overshoot in moist air, where little of the surface is seen. The number
of steps is fixed, so that all pixels of a block take the same ones.

References
----------
.. [1] Marquardt (1963), J. Soc. Indust. Appl. Math. 11(2), 431-441.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from aktes_xr import sensor
from aktes_xr.compilation import Float32Array, kernel
from aktes_xr.radiative.closure_block import Block, model
from aktes_xr.radiative.emulated_block import FUSED, BlockTables

WATER_LIMITS: Final = (np.float32(0.0), np.float32(80.0))
"""Between which a water column is sought, kg m-2."""
AIR_LIMITS: Final = (np.float32(205.0), np.float32(325.0))
"""Between which an air temperature is sought, K."""
# The first is the start.
_EVALUATIONS: Final = 6
# With less at the start, the first steps from dry to moist air end where no later one leads back.
_DAMPING: Final = np.float32(3.0)
_HELPED: Final = np.float32(0.2)
_DID_NOT: Final = np.float32(4.0)
_PER_NOISE: Final = np.float32(1.0 / sensor.NEDT_SPECIFICATION_K)
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_COST: Final = 5


@kernel(**FUSED)
def fit_air(block: Block, slant: Float32Array, tables: BlockTables) -> None:
    """Seek the water column and air temperature that leave least, held by what is known.

    Parameters
    ----------
    block : Block
        ``point`` and ``spread`` say what is known. ``best`` is written in place: temperatures
        modelled with the air that is then in ``found``.
    slant : ndarray (5,), float32, 1
        As in `model`.
    tables : BlockTables
    """
    found, trial = block.found, block.trial
    for i in range(block.damping.size):
        trial[0, i] = min(max(block.point[0, i], WATER_LIMITS[0]), WATER_LIMITS[1])
        trial[1, i] = min(max(block.point[1, i], AIR_LIMITS[0]), AIR_LIMITS[1])
    model(block, trial, slant, tables)
    _add_up(block, block.system)
    found[:] = trial
    block.best[:] = block.modelled[0]
    block.damping[:] = _DAMPING
    for _ in range(1, _EVALUATIONS):
        _step(block)
        model(block, trial, slant, tables)
        _add_up(block, block.tried)
        _judge(block)


@kernel(**FUSED)
def _add_up(block: Block, out: Float32Array) -> None:
    """Write the normal equations at the trial; the prior keeps their determinant positive."""
    for part in range(2):
        by_part, down, known = out[2 * part], out[3 + part], block.point[part]
        spread, trial = block.spread[part], block.trial[part]
        for i in range(trial.size):
            weight = _ONE / (spread[i] * spread[i])
            by_part[i] = weight
            down[i] = (known[i] - trial[i]) * weight
    between, cost, point, trial = out[1], out[_COST], block.point, block.trial
    for i in range(cost.size):
        between[i] = _ZERO
        cost[i] = out[3, i] * (point[0, i] - trial[0, i]) + out[4, i] * (point[1, i] - trial[1, i])
    for band in range(5):
        measured, modelled = block.measured[band], block.modelled[0, band]
        by_water, by_air = block.modelled[1, band], block.modelled[2, band]
        for i in range(cost.size):
            left = (measured[i] - modelled[i]) * _PER_NOISE
            wetter, warmer = by_water[i] * _PER_NOISE, by_air[i] * _PER_NOISE
            out[0, i] += wetter * wetter
            between[i] += wetter * warmer
            out[2, i] += warmer * warmer
            out[3, i] += wetter * left
            out[4, i] += warmer * left
            cost[i] += left * left


@kernel(**FUSED)
def _step(block: Block) -> None:
    """Write the next trial."""
    system, found, trial, damping = block.system, block.found, block.trial, block.damping
    for i in range(damping.size):
        larger = _ONE + damping[i]
        a, b, c = larger * system[0, i], system[1, i], larger * system[2, i]
        g, h = system[3, i], system[4, i]
        unit = _ONE / (a * c - b * b)
        water = found[0, i] + (c * g - b * h) * unit
        warmth = found[1, i] + (a * h - b * g) * unit
        trial[0, i] = min(max(water, WATER_LIMITS[0]), WATER_LIMITS[1])
        trial[1, i] = min(max(warmth, AIR_LIMITS[0]), AIR_LIMITS[1])


@kernel(**FUSED)
def _judge(block: Block) -> None:
    """Keep the trial where it leaves less than what was found before."""
    helped = block.root
    damping = block.damping
    for i in range(damping.size):
        better = block.tried[_COST, i] < block.system[_COST, i]
        helped[i] = _ONE if better else _ZERO
        damping[i] *= _HELPED if better else _DID_NOT
    for part in range(2):
        _take(helped, block.trial[part], block.found[part])
    for part in range(_COST + 1):
        _take(helped, block.tried[part], block.system[part])
    for band in range(5):
        _take(helped, block.modelled[0, band], block.best[band])


@kernel(**FUSED)
def _take(chosen: Float32Array, new: Float32Array, kept: Float32Array) -> None:
    for i in range(kept.size):
        # Both are read in any case: a load under a condition keeps the loop from being vectors.
        fresh, old = new[i], kept[i]
        kept[i] = fresh if chosen[i] > _ZERO else old
