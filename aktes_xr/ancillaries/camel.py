"""CAMEL, a monthly emissivity on 0.05 degree at 13 wavelengths, brought to the five bands.

The emissivity at a band's centre is interpolated linearly between the two of the 13 hinge points
[1]_ around it. What a 90 m pixel differs from the mean of 5 km by is not known from it: the stated
uncertainty is a round number of ours.

References
----------
.. [1] Borbas, E. et al. (2018): The Combined ASTER MODIS Emissivity over Land (CAMEL) Part 1.
       Remote Sens. 10, 643, doi 10.3390/rs10040643.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize

from aktes_xr.ancillaries.interpolation import Fields, Reader, at_dates, cells, to_pixels
from aktes_xr.ancillaries.place import CubeGrid, locate
from aktes_xr.errors import AncillaryError
from aktes_xr.sensor import WAVELENGTH_UM

if TYPE_CHECKING:
    from numpy.typing import NDArray

MONTH: Final = re.compile(r"CAM5K30EM\w*?_(?:(\d{2})Month|\d{4}(\d{2}))_?.*\.nc$")
HINGES_UM: Final = (3.6, 4.3, 5.0, 5.8, 7.6, 8.3, 8.6, 9.1, 10.6, 10.8, 11.3, 12.1, 14.3)
UNCERTAINTY: Final = 0.02
_NAMES: Final = ("camel_emis", "camel_emissivity", "emissivity")
_PLAUSIBLE: Final = (0.5, 1.0)


def find_months(paths: Iterable[Path]) -> dict[int, Path]:
    """Return the files among ``paths`` by their month.

    Where several years have one, the first is taken.

    Parameters
    ----------
    paths : iterable of Path
        Files of any name.

    Returns
    -------
    dict of int to Path
        By month, 1 to 12.
    """
    found: dict[int, Path] = {}
    for path in sorted(paths):
        match = MONTH.search(path.name)
        if match:
            found.setdefault(int(match[1] or match[2]), path)
    return found


def read_month(
    path: Path, cube: CubeGrid, chunks: tuple[tuple[int, ...], tuple[int, ...]]
) -> da.Array:
    """Bring one month to the bands and to the pixels of a cube, lazily.

    Parameters
    ----------
    path : Path
    cube : CubeGrid
    chunks : along y and x

    Returns
    -------
    dask array (band, y, x), float32
        NaN over the sea and where the product has none.

    Raises
    ------
    AncillaryError
        The file is not laid out as CAMEL's are.
    GridError
        It does not cover the cube.
    """
    try:
        ds: Any = xr.open_dataset(path, engine="h5netcdf", cache=False, decode_timedelta=False)
    except (OSError, ValueError) as error:
        raise AncillaryError(f"{path.name} could not be opened: {error}; is it complete?") from None
    name = next((name for name in _NAMES if name in ds), None)
    if name is None or not {"latitude", "longitude"} <= set(ds.variables):
        raise AncillaryError(
            f"{path.name} holds {', '.join(sorted(map(str, ds.variables)))[:200]}, expected "
            "camel_emis with latitude and longitude"
        )
    emissivity = ds[name]
    rows, columns, spectral = _dims(ds, emissivity, path)
    place = locate(
        cube,
        np.asarray(ds["latitude"].to_numpy(), np.float64).ravel(),
        np.asarray(ds["longitude"].to_numpy(), np.float64).ravel(),
        crs="EPSG:4326",
        name=path.name,
    )
    wavelengths = _wavelengths(ds, emissivity, spectral, path)
    upper = np.searchsorted(wavelengths, WAVELENGTH_UM)
    lower = upper - 1
    weight = (np.asarray(WAVELENGTH_UM) - wavelengths[lower]) / (
        wavelengths[upper] - wavelengths[lower]
    )
    samples, at = np.unique(np.concatenate([lower, upper]), return_inverse=True)
    before, after = np.split(at, 2)
    token = tokenize(str(path.resolve()), path.stat().st_mtime_ns)
    plain = emissivity.transpose(spectral, rows, columns).variable
    reader = Reader(plain, "emissivity", 1.0, 0.0, token, path.name)
    found = cells(reader, samples, place).map_blocks(_plausible, dtype=np.float32)
    bands = at_dates(found, before, after, weight).rechunk((-1, -1, -1))
    count = len(WAVELENGTH_UM)
    value, _ = to_pixels(
        Fields(bands),
        place,
        ((count,), *chunks),
        quantity="emissivity_prior",
        hours=np.zeros(count),
        elevation=None,
    )
    return value


def _dims(ds: xr.Dataset, emissivity: xr.DataArray, path: Path) -> tuple[str, str, str]:
    """Return the dimensions of latitude, longitude and spectrum, whatever they are called."""
    sizes = {str(dim): size for dim, size in emissivity.sizes.items()}
    known = {}
    for what in ("latitude", "longitude"):
        own = [str(dim) for dim in ds[what].dims if dim in sizes]
        fitting = own or [dim for dim, size in sizes.items() if size == ds[what].size]
        if len(fitting) != 1:
            raise AncillaryError(f"{path.name}: which dimension is the {what} cannot be told")
        known[what] = fitting[0]
    rest = [dim for dim in sizes if dim not in known.values()]
    if len(rest) != 1 or len(set(known.values())) != 2:
        raise AncillaryError(
            f"{path.name} has emissivity along {', '.join(sizes)}, expected latitude, longitude "
            "and wavelength"
        )
    return known["latitude"], known["longitude"], rest[0]


def _wavelengths(
    ds: xr.Dataset, emissivity: xr.DataArray, spectral: str, path: Path
) -> NDArray[np.float64]:
    """Return the hinge points: a variable of the file, or the product's own 13."""
    for name in ("wavelength", "wavelengths", spectral):
        if name in ds.variables and ds[name].size == emissivity.sizes[spectral]:
            found = np.asarray(ds[name].to_numpy(), np.float64).ravel()
            if (np.diff(found) > 0).all() and found[0] < 8.0 and found[-1] > 11.5:
                return found
    if emissivity.sizes[spectral] != len(HINGES_UM):
        raise AncillaryError(
            f"{path.name} has {emissivity.sizes[spectral]} wavelengths and does not say which, "
            f"expected the {len(HINGES_UM)} hinge points"
        )
    return np.array(HINGES_UM)


def _plausible(block: NDArray[np.float32]) -> NDArray[np.float32]:
    inside = (block >= _PLAUSIBLE[0]) & (block <= _PLAUSIBLE[1])
    return np.where(inside, block, np.float32(np.nan))
