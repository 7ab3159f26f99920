"""Per-pixel quality: 16 bits with their CF description.

Most bits are yes/no conditions; bits 6 to 8 together name the method that made the pixel, so that
``flag_masks`` and ``flag_values`` (CF conventions 3.5) describe both kinds in one variable. What is
meaningless is NaN (fill); what is doubtful has a value and a flag.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Any, Final

import numpy as np
import xarray as xr

from aktes_xr.errors import InputError, MissingVariableError

METHOD_MASK: Final = 0b1_1100_0000
"""Bits that hold the method's number."""


class QualityFlag(IntFlag):
    """Bits of ``quality``; the retrieved_by names are values under `METHOD_MASK`."""

    FILL = 1
    SATURATED = 2
    CLOUD = 4
    WATER = 8
    STEEP = 16
    SHADOWED = 32
    RETRIEVED_BY_TEACHER = 1 << 6
    RETRIEVED_BY_STUDENT = 2 << 6
    RETRIEVED_BY_FUSION = 3 << 6
    RETRIEVED_BY_TES = 4 << 6
    RETRIEVED_BY_SPLIT_WINDOW = 5 << 6
    OUT_OF_DOMAIN = 1 << 9
    NO_ELEVATION = 1 << 10
    ANCILLARY_MISSING = 1 << 11
    NOT_CONVERGED = 1 << 12
    DRIFT_UNCORRECTED = 1 << 13
    UNREADABLE = 1 << 14
    NOT_CLOSED = 1 << 15


_METHODS: Final = (
    QualityFlag.RETRIEVED_BY_TEACHER,
    QualityFlag.RETRIEVED_BY_STUDENT,
    QualityFlag.RETRIEVED_BY_FUSION,
    QualityFlag.RETRIEVED_BY_TES,
    QualityFlag.RETRIEVED_BY_SPLIT_WINDOW,
)
DOUBTFUL: Final = (
    QualityFlag.SATURATED
    | QualityFlag.CLOUD
    | QualityFlag.OUT_OF_DOMAIN
    | QualityFlag.NOT_CONVERGED
    | QualityFlag.NOT_CLOSED
)
"""What makes a value doubtful, with `aktes_xr.cube.conditions.DOUBTFUL_CONDITIONS`. Fill has no
value; the others say how it was made, and the uncertainty knows of that."""
MEANINGS: Final[dict[QualityFlag, str]] = {
    QualityFlag.FILL: "no measurement in at least one band",
    QualityFlag.SATURATED: "at least one band at the end of its scale",
    QualityFlag.CLOUD: "cloud, by the mask given with the cube or by the cloud test",
    QualityFlag.WATER: "water in the mask given with the cube",
    QualityFlag.STEEP: "terrain in which a flat retrieval errs by more than the sensor's noise",
    QualityFlag.SHADOWED: "the slope faces away from the sun by day",
    QualityFlag.RETRIEVED_BY_TEACHER: "made by the teacher alone",
    QualityFlag.RETRIEVED_BY_STUDENT: "made by the student alone",
    QualityFlag.RETRIEVED_BY_FUSION: "made by teacher and student together",
    QualityFlag.RETRIEVED_BY_TES: "made by temperature-emissivity separation",
    QualityFlag.RETRIEVED_BY_SPLIT_WINDOW: "made by the split-window equation",
    QualityFlag.OUT_OF_DOMAIN: "inputs beyond the training's range, or that do not fit each other",
    QualityFlag.NO_ELEVATION: "no elevation: terrain and surface pressure unknown",
    QualityFlag.ANCILLARY_MISSING: "water vapour or air temperature not given",
    QualityFlag.NOT_CONVERGED: "the physical retrieval did not converge or left its valid range",
    QualityFlag.DRIFT_UNCORRECTED: "processed without the radiometric drift correction of 2006",
    QualityFlag.UNREADABLE: "fill because a file could not be read",
    QualityFlag.NOT_CLOSED: "the retrieval does not explain the measurement (radiative closure)",
}


def flag_attributes() -> dict[str, Any]:
    """Return the CF attributes of ``quality``: masks, values and meanings of equal length."""
    flags = list(MEANINGS)
    masks = [METHOD_MASK if flag in _METHODS else flag.value for flag in flags]
    return {
        "long_name": "quality of the retrieval",
        "standard_name": "quality_flag",
        "flag_masks": np.array(masks, np.uint16),
        "flag_values": np.array([flag.value for flag in flags], np.uint16),
        "flag_meanings": " ".join(str(flag.name).lower() for flag in flags),
    }


def decode(quality: xr.DataArray) -> xr.Dataset:
    """Expand the flags into one boolean variable each.

    Parameters
    ----------
    quality : DataArray, uint16
        From a result; its ``flag_*`` attributes are not needed.

    Returns
    -------
    Dataset
        A bool variable per flag, named as in ``flag_meanings``, lazy where the input is.

    Raises
    ------
    InputError
        It is no DataArray.
    MissingVariableError
        The array holds no unsigned 16-bit flags.
    """
    if not isinstance(quality, xr.DataArray):
        raise InputError(
            f"found a {type(quality).__name__}, expected the array of flags: pass result['quality']"
        )
    if quality.dtype != np.uint16:
        raise MissingVariableError(
            f"found {quality.dtype} values, expected the uint16 'quality' of a result; open the "
            "store without masking it (mask_and_scale=False) or pass quality.astype('uint16')"
        )
    decoded = {}
    for flag, meaning in MEANINGS.items():
        mask = METHOD_MASK if flag in _METHODS else flag.value
        hit = (quality & np.uint16(mask)) == np.uint16(flag.value)
        hit.attrs = {"long_name": meaning}
        decoded[str(flag.name).lower()] = hit
    return xr.Dataset(decoded)
