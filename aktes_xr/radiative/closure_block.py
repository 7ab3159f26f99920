r"""What a block of retrieved pixels would measure, and which atmosphere explains it best.

The radiance of a band, with :math:`\rho = 1 - e`,

.. math:: L = t [e B + \rho (1 - V) e B + \rho (V + (1 - V) \rho) L_s] + L_p,

is differentiated by water column and air temperature through the polynomials of
`aktes_xr.radiative.emulated_block`, so that a step of the fit costs one evaluation and not three.

The fit is Levenberg's and Marquardt's [1]_: the step of Gauss and Newton with the diagonal of its
normal equations enlarged, less after a step that helps, more after one that does not, which is
taken back. Undamped steps overshoot in moist air, where little of the surface is seen.

References
----------
.. [1] Marquardt (1963), J. Soc. Indust. Appl. Math. 11(2), 431-441.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aktes_xr import sensor
from aktes_xr.compilation import Float32Array, kernel
from aktes_xr.radiative.emulated_block import (
    BLOCK,
    FUSED,
    Air,
    BlockTables,
    passed,
    place,
    polynomial,
    polynomial_slopes,
    read,
    scale,
)

WATER_LIMITS: Final = (np.float32(0.0), np.float32(80.0))
"""Between which a water column is sought, kg m-2."""
AIR_LIMITS: Final = (np.float32(205.0), np.float32(325.0))
"""Between which an air temperature is sought, K."""
# Each costs an evaluation. The first is the start.
_EVALUATIONS: Final = 5
_DAMPING: Final = np.float32(1.0)
_HELPED: Final = np.float32(0.2)
_DID_NOT: Final = np.float32(4.0)
_PER_NOISE: Final = np.float32(1.0 / sensor.NEDT_SPECIFICATION_K)
_ZERO, _HALF, _ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)
_COST: Final = 5


class Block(NamedTuple):
    """Pixels that are closed together, and the memory that takes. Not to be shared by threads.

    Attributes
    ----------
    measured : ndarray (5, pixel), float32, K
    surface : ndarray (7, pixel), float32
        Temperature (K), five emissivities and the sky-view factor.
    pressure : ndarray (pixel,), float32, hPa
    point, spread : ndarray (2, pixel), float32, kg m-2 and K
        Water column and air temperature, and how well they are known.
    found, trial : ndarray (2, pixel), float32
        The best point so far and the one that is tried.
    modelled : ndarray (3, 5, pixel), float32, K
        Temperatures; then those of moved air (K), or their slopes (K m2 kg-1, 1).
    best : ndarray (5, pixel), float32, K
        Temperatures at the best point.
    system, tried : ndarray (6, pixel), float32
        Normal equations at these two: the matrix (its last row's first term left out), the two
        right-hand sides, and what is minimised.
    damping : ndarray (pixel,), float32
    black : ndarray (2, pixel), float32
        Black bodies as warm as surface and air.
    slope, moved, root : ndarray (pixel,), float32
    terms : ndarray (9, pixel), float32
        Polynomials, with slopes.
    ends : ndarray (2, pixel), float32
    node : ndarray (3, pixel), int32
    share : ndarray (3, pixel), float32
    air : Air
    """

    measured: Float32Array
    surface: Float32Array
    pressure: Float32Array
    point: Float32Array
    spread: Float32Array
    found: Float32Array
    trial: Float32Array
    modelled: Float32Array
    best: Float32Array
    system: Float32Array
    tried: Float32Array
    damping: Float32Array
    black: Float32Array
    slope: Float32Array
    moved: Float32Array
    root: Float32Array
    terms: Float32Array
    ends: Float32Array
    node: NDArray[np.int32]
    share: Float32Array
    air: Air


def new_block() -> Block:
    """Allocate a block; its places hold ordinary numbers, so that empty ones do no harm.

    Returns
    -------
    Block
    """

    def rows(*shape: int) -> Float32Array:
        return np.ones((*shape, BLOCK), np.float32)

    return Block(
        *(rows(5), rows(7), rows(), rows(2), rows(2), rows(2), rows(2), rows(3, 5), rows(5)),
        *(rows(6), rows(6), rows(), rows(2), rows(), rows(), rows(), rows(9), rows(2)),
        np.zeros((3, BLOCK), np.int32),
        rows(3),
        Air(*(rows() for _ in Air._fields)),
    )


@kernel(**FUSED)
def move_air(block: Block, slant: Float32Array, tables: BlockTables) -> None:
    """Model temperatures with the air as it is told, wetter and warmer by what is stated.

    Parameters
    ----------
    block : Block
        ``modelled`` is written in place, from ``surface``, ``pressure``, ``point`` and ``spread``.
    slant : ndarray (5,), float32, 1
        The secant of the view angle to the power of each band's exponent.
    tables : BlockTables
    """
    water, warmth, moved = block.point[0], block.point[1], block.moved
    _model(block, water, warmth, slant, tables, block.modelled[0])
    step = block.spread[0]
    for i in range(moved.size):
        moved[i] = water[i] + step[i]
    _model(block, moved, warmth, slant, tables, block.modelled[1])
    step = block.spread[1]
    for i in range(moved.size):
        moved[i] = warmth[i] + step[i]
    _model(block, water, moved, slant, tables, block.modelled[2])


@kernel(**FUSED)
def _model(
    block: Block,
    water: Float32Array,
    warmth: Float32Array,
    slant: Float32Array,
    tables: BlockTables,
    out: Float32Array,
) -> None:
    """Write the temperatures (5, pixel) that are measured through some air."""
    scale(water, block.pressure, warmth, block.air)
    _place_black_bodies(block, warmth, tables)
    depth, rising, falling = block.terms[0], block.terms[1], block.terms[2]
    ground, source, root, view = block.black[0], block.black[1], block.root, block.surface[6]
    for band in range(5):
        planck = tables.planck[band]
        read(planck, block.node[0], block.share[0], block.ends, ground)
        read(planck, block.node[1], block.share[1], block.ends, source)
        for part in range(3):
            polynomial(tables.coefficients[part, band], block.air, block.terms[part])
        least, slanted, emissivity = tables.least[band], slant[band], block.surface[1 + band]
        for i in range(root.size):
            lost, through, _ = passed(depth[i], least, slanted)
            up = rising[i] if rising[i] > _ZERO else _ZERO
            down = falling[i] if falling[i] > _ZERO else _ZERO
            mirrored = _ONE - emissivity[i]
            own = emissivity[i] * ground[i]
            hidden = _ONE - view[i]
            seen = view[i] + hidden * mirrored
            leaving = own + mirrored * (hidden * own + seen * down * source[i])
            root[i] = np.sqrt(through * leaving - lost * up * source[i])
        _invert(block, band, tables, out[band])


@kernel(**FUSED)
def _place_black_bodies(block: Block, warmth: Float32Array, tables: BlockTables) -> None:
    nodes = tables.planck.shape[1]
    first, per_k = tables.first_k, tables.per_k
    place(block.surface[0], first, per_k, nodes, block.node[0], block.share[0])
    place(warmth, first, per_k, nodes, block.node[1], block.share[1])


@kernel(**FUSED)
def _invert(block: Block, band: int, tables: BlockTables, out: Float32Array) -> None:
    """Turn square roots of radiance into temperatures; ``ends`` keeps the nodes around them."""
    row, node, share = tables.temperature[band], block.node[2], block.share[2]
    place(block.root, tables.first_root[band], tables.per_root[band], row.size, node, share)
    read(row, node, share, block.ends, out)


@kernel(**FUSED)
def _model_slopes(block: Block, slant: Float32Array, tables: BlockTables) -> None:
    """Model temperatures at the trial, and their slopes by water column and air temperature."""
    scale(block.trial[0], block.pressure, block.trial[1], block.air)
    _place_black_bodies(block, block.trial[1], tables)
    ground, source, view = block.black[0], block.black[1], block.surface[6]
    low, high = block.ends[0], block.ends[1]
    for band in range(5):
        planck = tables.planck[band]
        read(planck, block.node[0], block.share[0], block.ends, ground)
        read(planck, block.node[1], block.share[1], block.ends, source)
        for i in range(source.size):
            block.slope[i] = (high[i] - low[i]) * tables.per_k
        for part in range(3):
            terms = block.terms[3 * part : 3 * part + 3]
            polynomial_slopes(tables.coefficients[part, band], block.air, terms)
        by_water, by_air = block.modelled[1, band], block.modelled[2, band]
        constants = (tables.least[band], slant[band])
        _differentiate(block, constants, block.surface[1 + band], view, by_water, by_air)
        _invert(block, band, tables, block.modelled[0, band])
        per_root = tables.per_root[band]
        for i in range(low.size):
            rise = (high[i] - low[i]) * per_root
            by_water[i] *= rise
            by_air[i] *= rise


@kernel(**FUSED)
def _differentiate(
    block: Block,
    constants: tuple[np.float32, np.float32],
    emissivity: Float32Array,
    view: Float32Array,
    by_water: Float32Array,
    by_air: Float32Array,
) -> None:
    """Write the square root of radiance and its slopes, from polynomials and black bodies."""
    least, slanted = constants
    depth, rising, falling = block.terms[0:3], block.terms[3:6], block.terms[6:9]
    ground, source, source_slope, root = block.black[0], block.black[1], block.slope, block.root
    air = block.air
    for i in range(root.size):
        lost, through, bend = passed(depth[0, i], least, slanted)
        # The slope of what passes by the polynomial's depth.
        thinner = -through * slanted * bend
        # A polynomial below zero counts as nothing, and so does its slope.
        upward = _ONE if rising[0, i] > _ZERO else _ZERO
        downward = _ONE if falling[0, i] > _ZERO else _ZERO
        up, down, warm = upward * rising[0, i], downward * falling[0, i], source[i]
        mirrored = _ONE - emissivity[i]
        own = emissivity[i] * ground[i]
        hidden = _ONE - view[i]
        seen = mirrored * (view[i] + hidden * mirrored)
        leaving = own + mirrored * hidden * own + seen * down * warm
        root[i] = np.sqrt(through * leaving - lost * up * warm)
        exchanged = thinner * (leaving - up * warm)
        sky, path = through * seen * downward * warm, lost * upward * warm
        by_x = exchanged * depth[1, i] + sky * falling[1, i] - path * rising[1, i]
        by_z = exchanged * depth[2, i] + sky * falling[2, i] - path * rising[2, i]
        by_source = through * seen * down - lost * up
        # d sqrt(L) = dL / (2 sqrt(L)).
        half = _HALF / root[i]
        by_water[i] = by_x * air.by_water[i] * half
        warmer = by_x * air.by_air[i] + by_z * air.warmth_by_air[i] + by_source * source_slope[i]
        by_air[i] = warmer * half


@kernel(**FUSED)
def fit_air(block: Block, slant: Float32Array, tables: BlockTables) -> None:
    """Seek the water column and air temperature that leave least, held by what is known.

    Parameters
    ----------
    block : Block
        ``point`` and ``spread`` say what is known. ``best`` is written in place: temperatures
        modelled with the air that is then in ``found``.
    slant : ndarray (5,), float32, 1
        The secant of the view angle to the power of each band's exponent.
    tables : BlockTables
    """
    found, trial = block.found, block.trial
    for i in range(block.damping.size):
        trial[0, i] = min(max(block.point[0, i], WATER_LIMITS[0]), WATER_LIMITS[1])
        trial[1, i] = min(max(block.point[1, i], AIR_LIMITS[0]), AIR_LIMITS[1])
    _model_slopes(block, slant, tables)
    _add_up(block, block.system)
    found[:] = trial
    block.best[:] = block.modelled[0]
    block.damping[:] = _DAMPING
    for _ in range(1, _EVALUATIONS):
        _step(block)
        _model_slopes(block, slant, tables)
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
        kept[i] = new[i] if chosen[i] > _ZERO else kept[i]
