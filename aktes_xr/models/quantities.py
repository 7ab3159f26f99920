"""What a pixel is described by, in physical units: the columns of every table of pixels.

A missing quantity is NaN. The networks' inputs are made of them by `aktes_xr.models.features`.
"""

from __future__ import annotations

from typing import Final

_BANDS: Final = ("B10", "B11", "B12", "B13", "B14")

QUANTITIES: Final = (
    *(f"brightness_temperature_{band}" for band in _BANDS),  # K, at the sensor
    "view_zenith",  # degrees
    "surface_pressure",  # hPa
    "water_vapor",  # kg m-2
    "water_vapor_error",  # kg m-2, 1 sigma
    "air_temperature",  # K
    "air_temperature_error",  # K, 1 sigma
    *(f"emissivity_prior_{band}" for band in _BANDS),
    "emissivity_prior_uncertainty",  # 1 sigma, root mean square over the bands
    "sky_view_factor",
    "sine_of_slope",
    "solar_incidence",  # cosine of the local angle; 0 at night
    "relief",  # m
    *(f"adjacent_brightness_temperature_{band}" for band in _BANDS),  # K, of the mean radiance
    "elevation_difference",  # m, above the height the water vapour and air temperature hold for
)
"""Names of the quantities, in the order of the arrays below."""

N_QUANTITIES: Final = len(QUANTITIES)
BRIGHTNESS: Final = QUANTITIES.index("brightness_temperature_B10")
REFERENCE: Final = QUANTITIES.index("brightness_temperature_B13")
VIEW_ZENITH: Final = QUANTITIES.index("view_zenith")
SURFACE_PRESSURE: Final = QUANTITIES.index("surface_pressure")
WATER_VAPOR: Final = QUANTITIES.index("water_vapor")
AIR_TEMPERATURE: Final = QUANTITIES.index("air_temperature")
PRIOR: Final = QUANTITIES.index("emissivity_prior_B10")
SKY_VIEW_FACTOR: Final = QUANTITIES.index("sky_view_factor")
SINE_OF_SLOPE: Final = QUANTITIES.index("sine_of_slope")
SOLAR_INCIDENCE: Final = QUANTITIES.index("solar_incidence")
RELIEF: Final = QUANTITIES.index("relief")
ADJACENT: Final = QUANTITIES.index("adjacent_brightness_temperature_B10")
ELEVATION_DIFFERENCE: Final = QUANTITIES.index("elevation_difference")
"""Places in `QUANTITIES`: of five bands the first; an ancillary's error follows its value."""
