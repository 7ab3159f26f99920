r"""What a block of retrieved pixels would measure, and how that depends on the air.

The radiance of a band, with :math:`\rho = 1 - e`,

.. math:: L = t [e B + \rho (1 - V) e B + \rho (V + (1 - V) \rho) L_s] + L_p,

is differentiated by water column and air temperature through the polynomials of
`aktes_xr.radiative.emulated_block`. So one evaluation says what stated errors of the air do, to
first order, and a step of the fit (`aktes_xr.radiative.closure_fit`) costs one and not three.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aktes_xr.compilation import Float32Array, kernel
from aktes_xr.radiative.emulated_block import (
    BLOCK,
    FUSED,
    Air,
    BlockTables,
    passed,
    place,
    polynomial,
    read,
    scale,
)

TOLD: Final = np.float32(0.0)
"""Kind of a pixel whose air is given."""
UNTOLD: Final = np.float32(1.0)
"""Kind of a pixel whose air must be fitted."""
NOTHING: Final = np.float32(-1.0)
"""Kind of a pixel that cannot be closed."""
_ZERO, _HALF, _ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)


class Block(NamedTuple):
    """Pixels that are closed together, and the memory that takes. Not to be shared by threads.

    Attributes
    ----------
    kind : ndarray (pixel,), float32
        `TOLD`, `UNTOLD` or `NOTHING`.
    measured : ndarray (5, pixel), float32, K
    surface : ndarray (7, pixel), float32
        Temperature (K), five emissivities and the sky-view factor.
    pressure : ndarray (pixel,), float32, hPa
    point, spread : ndarray (2, pixel), float32, kg m-2 and K
        Water column and air temperature, and how well they are known.
    found, trial : ndarray (2, pixel), float32
        The best point so far and the one that is tried.
    modelled : ndarray (3, 5, pixel), float32
        Temperatures (K) and their slopes by water column (K m2 kg-1) and air temperature (1).
    best : ndarray (5, pixel), float32, K
        Temperatures at the best point.
    result : ndarray (8, pixel), float32
        In the order of `aktes_xr.radiative.closure.CLOSURE`.
    system, tried : ndarray (6, pixel), float32
        Normal equations at these two: the matrix (its last row's first term left out), the two
        right-hand sides, and what is minimised.
    sums : ndarray (2, pixel), float32, K2
        Squares of residuals and of what the air's stated errors do, over the bands.
    damping : ndarray (pixel,), float32
    black : ndarray (2, pixel), float32
        Black bodies as warm as surface and air.
    slope, root : ndarray (pixel,), float32
    terms : ndarray (9, pixel), float32
        Polynomials, with slopes.
    ends : ndarray (2, pixel), float32
    node : ndarray (3, pixel), int32
    share : ndarray (3, pixel), float32
    air : Air
    """

    kind: Float32Array
    measured: Float32Array
    surface: Float32Array
    pressure: Float32Array
    point: Float32Array
    spread: Float32Array
    found: Float32Array
    trial: Float32Array
    modelled: Float32Array
    best: Float32Array
    result: Float32Array
    system: Float32Array
    tried: Float32Array
    sums: Float32Array
    damping: Float32Array
    black: Float32Array
    slope: Float32Array
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
        *(rows(), rows(5), rows(7), rows(), rows(2), rows(2), rows(2), rows(2), rows(3, 5)),
        *(
            rows(5),
            rows(8),
            rows(6),
            rows(6),
            rows(2),
            rows(),
            rows(2),
            rows(),
            rows(),
            rows(9),
            rows(2),
        ),
        np.zeros((3, BLOCK), np.int32),
        rows(3),
        Air(*(rows() for _ in Air._fields)),
    )


@kernel(**FUSED)
def model(block: Block, point: Float32Array, slant: Float32Array, tables: BlockTables) -> None:
    """Model temperatures, and their slopes by water column and air temperature.

    Parameters
    ----------
    block : Block
        ``modelled`` is written in place, from ``surface`` and ``pressure``.
    point : ndarray (2, pixel), float32, kg m-2 and K
        Water column and air temperature; a row of ``block``.
    slant : ndarray (5,), float32, 1
        The secant of the view angle to the power of each band's exponent.
    tables : BlockTables
    """
    scale(point[0], block.pressure, point[1], block.air)
    _place_black_bodies(block, point[1], tables)
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
            polynomial(tables.coefficients[part, band], block.air, terms)
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
