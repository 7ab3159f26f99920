r"""Cloud by two fixed rules, as the products of JPL's ECOSTRESS find it: to compare a test with.

A pixel is cloud where it is colder than clear ground at its height should be, or where it is less
black in the two last bands than any ground is [1]_. What clear ground should have is, at the
pixel's height,

.. math:: T_{clear} = T_{air} \quad\text{or}\quad T_{90} - \Gamma z,

the air's temperature where it is told, else the 90th percentile of the scene, counted from sea
level with the lapse rate :math:`\Gamma` of 6.5 K/km. (The products have a climatology by month and
hour in its place, which is lowered alike.) What is colder by a wide margin is cloud; what is colder
by a narrow one is probably cloud, and counts as clear above 2 km, where ground is cold by itself.

The products take the emissivity that they retrieve. Here nothing is retrieved yet: the emissivity
is that of the normalised method [2]_ at the sensor, each band's radiance over that of a black body
as warm as the warmest band.

References
----------
.. [1] Hulley, G. and Hook, S. (2018). ECOSTRESS Level-2 cloud detection algorithm theoretical basis
   document. Jet Propulsion Laboratory, California Institute of Technology.
.. [2] Gillespie, A. et al. (1998). A temperature and emissivity separation algorithm for ASTER
   images. IEEE Trans. Geosci. Remote Sens. 36(4), 1113-1126.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import ndimage

from aktes_xr import sensor
from aktes_xr.models.cloud_features import LAPSE_K_PER_M, SEEN, STATISTICS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array

LEAST_EMISSIVITY: Final = 0.92
"""Ground is blacker than this in the mean of B13 and B14."""
REACH: Final = 2
"""The emissivity is smoothed over 5 x 5 pixels."""
_N_BANDS: Final = len(sensor.BANDS)
_REFERENCE: Final = sensor.BANDS.index("B13")
_LAST: Final = (sensor.BANDS.index("B13"), sensor.BANDS.index("B14"))
# Clear ground may be so much colder than the air (by night, under humid air), or than the warm part
# of its scene.
_BELOW_AIR_K: Final = (6.0, 12.0)
_BELOW_SCENE_K: Final = (10.0, 16.0)
_HIGH_GROUND_M: Final = 2000.0
_WARM_PART: Final = STATISTICS.index("sea_level_p90")


def cloud_by_rules(seen: Float32Array, statistics: Float32Array) -> NDArray[np.bool_]:
    """Find cloud by the temperature that clear ground should have, and by emissivity.

    Parameters
    ----------
    seen : ndarray (9, y, x), float32
        In the order of `aktes_xr.models.cloud_features.SEEN`; what is not known is NaN. Background
        and skin temperature are not used.
    statistics : ndarray (11,), float32, K
        Of the whole scene, from `aktes_xr.models.cloud_features.scene_statistics` without a
        background.

    Returns
    -------
    ndarray (y, x), bool
        False where a band was not measured.
    """
    kelvin = np.moveaxis(seen[:_N_BANDS], 0, -1)
    measured = np.asarray(np.isfinite(kelvin).all(axis=-1))
    height = np.nan_to_num(seen[SEEN.index("elevation")])
    air = seen[SEEN.index("air_temperature")]
    told = np.isfinite(air)
    expected = np.where(told, air, statistics[_WARM_PART] - np.float32(LAPSE_K_PER_M) * height)
    narrow, wide = (
        np.where(told, *pair) for pair in zip(_BELOW_AIR_K, _BELOW_SCENE_K, strict=True)
    )
    colder = expected - kelvin[..., _REFERENCE]
    cold = (colder > wide) | ((colder > narrow) & (height < _HIGH_GROUND_M))
    return np.asarray(measured & (cold | _grey(kelvin, measured)))


def _grey(kelvin: Any, measured: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where the last bands are less black than ground is, in the mean of 5 x 5 pixels."""
    filled = np.where(measured[..., np.newaxis], kelvin, 300.0)
    warmest = np.repeat(filled.max(axis=-1, keepdims=True), _N_BANDS, axis=-1)
    radiance, black = (
        sensor.brightness_temperature_to_radiance(part.astype(np.float64))
        for part in (filled, warmest)
    )
    emissivity = (radiance / black)[..., _LAST].mean(axis=-1)
    side = 2 * REACH + 1
    share = ndimage.uniform_filter(measured.astype(np.float64), side, mode="constant")
    total = ndimage.uniform_filter(np.where(measured, emissivity, 0.0), side, mode="constant")
    # Where no pixel is measured the mean is 0 over next to 0, and nothing is asked of it.
    return np.asarray(total < LEAST_EMISSIVITY * share)
