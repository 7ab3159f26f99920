"""The arctangent the terrain kernels share: arithmetic only, so that every loop vectorises.

The C library's ``atan`` is a call per pixel that also differs in its last bit between machines and
between numpy's own code paths. A polynomial of ``+ - * /`` is the same everywhere, bit for bit.
"""

from __future__ import annotations

import math

from aktes_xr.compilation import kernel

HALF_PI = 0.5 * math.pi

# Chebyshev fit of atan(x) / x in x^2 on [0, 1]; largest error 4.5e-11 rad. One long polynomial is
# faster than a second range reduction: that would be a division.
_COEFFICIENTS = (
    0.9999999999390123,
    -0.3333333151819677,
    0.19999909956965847,
    -0.14283948420406634,
    0.1109298478093698,
    -0.08979051018674351,
    0.07242284055083002,
    -0.05421530682453216,
    0.03413342113604255,
    -0.016055159306532757,
    0.004827227227518271,
    -0.0006804971753881813,
)
_A, _B, _C, _D, _E, _F, _G, _H, _I, _J, _K, _L = _COEFFICIENTS


@kernel(inline="always", error_model="numpy")
def arctangent_unit(x: float) -> float:
    """Arctangent of ``x`` in [0, 1], rad."""
    s = x * x
    upper = _G + s * (_H + s * (_I + s * (_J + s * (_K + s * _L))))
    return x * (_A + s * (_B + s * (_C + s * (_D + s * (_E + s * (_F + s * upper))))))


@kernel(inline="always", error_model="numpy")
def arctangent(x: float) -> float:
    """Arctangent of ``x`` >= 0 (infinity included), rad."""
    large = x > 1.0
    angle: float = arctangent_unit(1.0 / x if large else x)
    return HALF_PI - angle if large else angle


@kernel(inline="always", error_model="numpy")
def bearing(east: float, north: float) -> float:
    """Direction of a vector clockwise from north, rad in [0, 2 pi); 0 for the null vector."""
    across = abs(east)
    along = abs(north)
    steep = across > along
    larger = across if steep else along
    smaller = along if steep else across
    angle: float = arctangent_unit(smaller / (larger if larger > 0.0 else 1.0))
    angle = HALF_PI - angle if steep else angle
    angle = math.pi - angle if north < 0.0 else angle
    return 2.0 * math.pi - angle if east < 0.0 else angle
