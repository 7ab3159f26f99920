"""The radiance equation inverted on Landsat 8's own atmosphere, against its surface temperature.

The product (Collection 2, Level 2) carries radiance at the sensor, transmittance, path and sky
radiance and emissivity beside the temperature that was made from them. With these our Planck
function and our radiance equation have to give that temperature. The files are not part of this
repository: name the folder that holds them in ``AKTES_REAL_DATA`` (it has a folder ``landsat8``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from real_data import real_files

from aktes_xr.radiative.planck import planck_wavelength
from aktes_xr.radiative.surface import surface_leaving_radiance

# Response of TIRS band 10 every 0.05 um from 10.2 to 11.6 um (USGS, public domain): below and above
# it is under two thousandths of its peak.
FIRST_UM, STEP_UM = 10.2, 0.05
RESPONSE = (
    *(0.0020, 0.0040, 0.0078, 0.0162, 0.0320, 0.0661, 0.1384, 0.2784, 0.5057, 0.7259),
    *(0.8085, 0.8411, 0.8433, 0.8734, 0.9154, 0.9780, 1.0000, 0.9909, 0.8715, 0.6534),
    *(0.4096, 0.2413, 0.1359, 0.0713, 0.0330, 0.0133, 0.0048, 0.0022, 0.0012),
)
CLEAR = 1 << 6
"""Bit of QA_PIXEL."""


def band(folder: Path, scene: str, name: str, scale: float, offset: float = 0.0) -> NDArray:
    (path,) = folder.glob(f"{scene}*_{name}.TIF")
    with rasterio.open(path) as source:
        counts, nodata = source.read(1), source.nodata
    return np.where(counts == nodata, np.nan, counts * scale + offset)


def band_radiances(temperature: NDArray) -> NDArray:
    """Planck's law weighted by the band's response, W m-2 sr-1 um-1."""
    response = np.array(RESPONSE)
    wavelength = FIRST_UM + STEP_UM * np.arange(response.size)
    spectral = planck_wavelength(wavelength[:, np.newaxis], temperature)
    return np.asarray(response @ spectral / response.sum())


def retrieved_minus_official(folder: Path, scene: str) -> NDArray:
    """Differences of the two temperatures over a scene's clear pixels, K."""
    measured, path, sky = (
        band(folder, scene, name, 0.001) for name in ("ST_TRAD", "ST_URAD", "ST_DRAD")
    )
    transmittance, emissivity = (
        band(folder, scene, name, 1e-4) for name in ("ST_ATRAN", "ST_EMIS")
    )
    official = band(folder, scene, "ST_B10", 0.00341802, 149.0)
    clear = band(folder, scene, "QA_PIXEL", 1).astype(np.uint16) & CLEAR > 0
    leaving = surface_leaving_radiance(measured, transmittance, path)
    emitted = (leaving - (1.0 - emissivity) * sky) / emissivity
    temperature = np.arange(200.0, 350.0, 0.25)
    found = np.interp(emitted, band_radiances(temperature), temperature)
    both = clear & np.isfinite(found) & np.isfinite(official)
    return np.asarray((found - official)[both])


def test_landsats_surface_temperature_is_reproduced() -> None:
    folder = real_files("landsat8")
    scenes = sorted({path.name[:16] for path in folder.glob("LC08_*_ST_B10.TIF")})
    error = np.concatenate([retrieved_minus_official(folder, scene) for scene in scenes])
    assert error.size > 50_000
    assert abs(error.mean()) <= 0.02
    assert np.abs(error).mean() <= 0.03
