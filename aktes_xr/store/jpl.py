"""A result as readers of NASA's own products take it: scaled integers, and ``QC`` bit by bit.

Integers and bits are those of MOD21_L2, which JPL's other products of temperature and emissivity
follow [1]_. Each pair of bits of ``QC`` is a number from 0 to 3:

| bits | says | 0 | 1 | 2 | 3 |
| --- | --- | --- | --- | --- | --- |
| 0, 1 | mandatory | good | nominal: doubtful by a flag | none, cloud | none, other reasons |
| 2, 3 | data | good | pixel missing | fairly calibrated | (not used) |
| 4, 5 | cloud | free | perhaps (JPL: thin cirrus) | near cloud | cloudy |
| 6, 7 | iterations | slow or none converged | nominal | (not used) | (not used) |
| 8, 9 | opacity | (not used) | nominal, always | (not used) | (not used) |
| 10, 11 | emissivity contrast | above .15 | .1 to .15 | .03 to .1 | below .03 |
| 12, 13 | emissivity's sigma | above .02 | .015 to .02 | .01 to .015 | below .01 |
| 14, 15 | temperature's sigma | above 2 K | 1.5 to 2 K | 1 to 1.5 K | below 1 K |

What a result does not hold is not invented: networks do not iterate, and the sky's radiance is not
kept. Contrast is that of all five bands, emissivity's sigma the mean over them. Bits 6 to 15 are 0
where there is no temperature.

References
----------
.. [1] Hulley, G. et al. MODIS MOD21 Land Surface Temperature and Emissivity, Collection 6.1 user
   guide. Jet Propulsion Laboratory. https://lpdaac.usgs.gov/products/mod21v061/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import xarray as xr

from aktes_xr.cube.conditions import DOUBTFUL_CONDITIONS, ConditionFlag
from aktes_xr.cube.quality import DOUBTFUL, QualityFlag
from aktes_xr.errors import MissingVariableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

QC: Final = "QC"


class Scaled(NamedTuple):
    """How a variable becomes integers; 0 is no data.

    Attributes
    ----------
    dtype : str
    scale, offset : float
        value = scale x integer + offset
    """

    dtype: str
    scale: float
    offset: float


SCALED: Final = {
    "surface_temperature": Scaled("uint16", 0.02, 0.0),
    "surface_temperature_uncertainty": Scaled("uint8", 0.04, 0.0),
    "emissivity": Scaled("uint8", 0.002, 0.49),
    "emissivity_uncertainty": Scaled("uint16", 0.0001, 0.0),
}
"""By variable; LST, LST_err and Emis of the products, and the emissivity's error."""
_CONTRAST: Final = (0.03, 0.1, 0.15)
_EMISSIVITY_SIGMA: Final = (0.01, 0.015, 0.02)
_TEMPERATURE_SIGMA_K: Final = (1.0, 1.5, 2.0)
_MISSING: Final = np.uint16(QualityFlag.FILL | QualityFlag.UNREADABLE)
_PAIRS: Final = (
    "mandatory",
    "data",
    "cloud",
    "iterations",
    "opacity",
    "emissivity_contrast",
    "emissivity_accuracy",
    "temperature_accuracy",
)


def as_jpl(result: xr.Dataset) -> xr.Dataset:
    """Give a result JPL's ``QC``, and the encoding of its scaled integers; lazily.

    Parameters
    ----------
    result : Dataset
        Of `aktes_xr.retrieve`.

    Returns
    -------
    Dataset
        With ``QC`` (time, y, x), uint16. The variables of `SCALED` are clipped to what their
        integers hold, and become integers when they are written. All else is as it was.

    Raises
    ------
    MissingVariableError
        The result lacks one of the variables of `SCALED`, or its flags.
    """
    missing = sorted({*SCALED, "quality"} - {str(name) for name in result.data_vars})
    if missing:
        raise MissingVariableError(
            f"the result lacks {', '.join(missing)}: JPL's encoding needs what aktes_xr.retrieve "
            "returns; write it without encoding='jpl'"
        )
    found = result.copy()
    found[QC] = _quality_control(result)
    for name, scaled in SCALED.items():
        most = float(np.iinfo(scaled.dtype).max)
        # 0 stands for no data: the least that is stored is 1.
        low, high = (scaled.scale * number + scaled.offset for number in (1.0, most))
        array = result[name].clip(np.float32(low), np.float32(high), keep_attrs=True)
        array.encoding = {
            **result[name].encoding,
            "dtype": scaled.dtype,
            "scale_factor": scaled.scale,
            "add_offset": scaled.offset,
            "_FillValue": 0,
        }
        found[name] = array
    return found


def _quality_control(result: xr.Dataset) -> xr.DataArray:
    quality = result["quality"]
    conditions = result["conditions"] if "conditions" in result else xr.zeros_like(quality)
    emissivity = result["emissivity"]
    contrast = emissivity.max("band") - emissivity.min("band")
    sigma = result["emissivity_uncertainty"].mean("band", skipna=False)
    found: xr.DataArray = xr.apply_ufunc(
        _bits,
        quality,
        conditions,
        contrast,
        sigma,
        result["surface_temperature_uncertainty"],
        dask="parallelized",
        output_dtypes=[np.uint16],
    )
    masks, values, meanings = [], [], []
    for place, name in enumerate(_PAIRS):
        for value in range(4):
            masks.append(3 << 2 * place)
            values.append(value << 2 * place)
            meanings.append(f"{name}_{value}")
    found.attrs = {
        "long_name": "quality control, as MOD21_L2 encodes it",
        "standard_name": "quality_flag",
        "flag_masks": np.array(masks, np.uint16),
        "flag_values": np.array(values, np.uint16),
        "flag_meanings": " ".join(meanings),
    }
    return found


def _bits(
    quality: NDArray[np.uint16],
    conditions: NDArray[np.uint16],
    contrast: Any,
    emissivity_sigma: Any,
    temperature_sigma: Any,
) -> NDArray[np.uint16]:
    def has(flag: QualityFlag) -> NDArray[np.bool_]:
        return np.asarray((quality & np.uint16(flag)) != 0)

    def under(flag: ConditionFlag) -> NDArray[np.bool_]:
        return np.asarray((conditions & np.uint16(flag)) != 0)

    produced = np.isfinite(temperature_sigma)
    cloudy = has(QualityFlag.CLOUD)
    missing = (quality & _MISSING) != 0
    doubtful = ((quality & np.uint16(DOUBTFUL)) != 0) | (
        (conditions & np.uint16(DOUBTFUL_CONDITIONS)) != 0
    )
    near = under(ConditionFlag.NEAR_CLOUD)
    perhaps = under(ConditionFlag.PROBABLY_CLOUDY)
    uncalibrated = has(QualityFlag.DRIFT_UNCORRECTED) | has(QualityFlag.SATURATED)
    pairs = (
        np.where(produced, np.where(doubtful, 1, 0), np.where(cloudy & ~missing, 2, 3)),
        np.where(missing, 1, np.where(uncalibrated, 2, 0)),
        np.where(cloudy, 3, np.where(near, 2, np.where(perhaps, 1, 0))),
        np.where(has(QualityFlag.NOT_CONVERGED), 0, 1) * produced,
        produced,
        (3 - np.digitize(contrast, _CONTRAST)) * produced,
        (3 - np.digitize(emissivity_sigma, _EMISSIVITY_SIGMA)) * produced,
        (3 - np.digitize(temperature_sigma, _TEMPERATURE_SIGMA_K)) * produced,
    )
    bits = np.zeros(quality.shape, np.uint16)
    for place, pair in enumerate(pairs):
        bits |= np.asarray(pair, np.uint16) << np.uint16(2 * place)
    return bits
