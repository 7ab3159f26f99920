"""The arctangent the terrain kernels share: arithmetic only, so that every loop vectorises.

The C library's ``atan`` is a call per pixel that also differs in its last bit between machines and
between numpy's own code paths. A polynomial of ``+ - * /`` is the same everywhere, bit for bit.
"""

from __future__ import annotations

import math

from numba import njit

HALF_PI = 0.5 * math.pi
QUARTER_PI = 0.25 * math.pi
TAN_EIGHTH_PI = math.sqrt(2.0) - 1.0

# Chebyshev fit of atan(x) / x in x^2 on [0, tan(pi/8)^2]; largest error 8.1e-12 rad.
_C0 = 0.9999999999791284
_C1 = -0.33333332127878046
_C2 = 0.19999885898601522
_C3 = -0.14281639257451226
_C4 = 0.11041054137909748
_C5 = -0.08459109047590976
_C6 = 0.04712997040677421


@njit(nogil=True, inline="always")
def arctangent_unit(x: float) -> float:
    """Arctangent of ``x`` in [0, 1], rad; largest error 1e-11."""
    upper = x > TAN_EIGHTH_PI
    y = (x - 1.0) / (x + 1.0) if upper else x
    s = y * y
    p = _C0 + s * (_C1 + s * (_C2 + s * (_C3 + s * (_C4 + s * (_C5 + s * _C6)))))
    return QUARTER_PI + y * p if upper else y * p


@njit(nogil=True, inline="always")
def arctangent(x: float) -> float:
    """Arctangent of ``x`` >= 0 (infinity included), rad; largest error 1e-11."""
    large = x > 1.0
    angle = arctangent_unit(1.0 / x if large else x)
    return HALF_PI - angle if large else angle


@njit(nogil=True, inline="always")
def bearing(east: float, north: float) -> float:
    """Direction of a vector clockwise from north, rad in [0, 2 pi); 0 for the null vector."""
    across = abs(east)
    along = abs(north)
    steep = across > along
    larger = across if steep else along
    smaller = along if steep else across
    angle = arctangent_unit(smaller / (larger if larger > 0.0 else 1.0))
    angle = HALF_PI - angle if steep else angle
    angle = math.pi - angle if north < 0.0 else angle
    return 2.0 * math.pi - angle if east < 0.0 else angle
