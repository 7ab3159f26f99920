"""Per-pixel conditions: a second set of 16 bits, beside ``quality``, with its own CF description.

``quality`` says how a pixel was made; these say what around it gives reason for doubt. None of them
takes a value away.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Any, Final

import numpy as np


class ConditionFlag(IntFlag):
    """Bits of ``conditions``."""

    NEAR_CLOUD = 1
    CAST_SHADOW = 2
    SNOW_HINT = 4
    NEAR_DEM_EDGE = 8
    INPUT_INTERPOLATED = 16
    ATMOSPHERE_FITTED = 32
    PROBABLY_CLOUDY = 64


DOUBTFUL_CONDITIONS: Final = ConditionFlag.NEAR_CLOUD | ConditionFlag.PROBABLY_CLOUDY
"""Conditions that make a value doubtful, with `aktes_xr.cube.quality.DOUBTFUL`."""
CONDITION_MEANINGS: Final[dict[ConditionFlag, str]] = {
    ConditionFlag.NEAR_CLOUD: "within about half a kilometre of cloud",
    ConditionFlag.CAST_SHADOW: "terrain between the pixel and the sun",
    ConditionFlag.SNOW_HINT: "as cold and as black as snow or ice",
    ConditionFlag.NEAR_DEM_EDGE: "within about half a kilometre of ground of unknown elevation",
    ConditionFlag.INPUT_INTERPOLATED: "the measurement was filled in by whoever made the cube",
    ConditionFlag.ATMOSPHERE_FITTED: "closure by an atmosphere that was fitted, not given",
    ConditionFlag.PROBABLY_CLOUDY: "the cloud test finds cloud more likely than not",
}


def condition_attributes() -> dict[str, Any]:
    """Return the CF attributes of ``conditions``: masks and meanings of equal length."""
    return {
        "long_name": "conditions that give reason for doubt",
        "standard_name": "status_flag",
        "flag_masks": np.array([flag.value for flag in CONDITION_MEANINGS], np.uint16),
        "flag_meanings": " ".join(str(flag.name).lower() for flag in CONDITION_MEANINGS),
    }
