"""What a variable of a file is: by CF standard name or usual short name, and in our units."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr

from aktes_xr.cube.contract import SPELLINGS
from aktes_xr.errors import UnitsError

WATER_DENSITY: Final = 1000.0
"""kg m-3. A depth of liquid water times this is a water column."""
STANDARD_GRAVITY: Final = 9.80665
"""m s-2. A geopotential divided by this is a height."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """How one quantity is recognised.

    Attributes
    ----------
    units : what it is converted to
    standard_names : of the CF convention
    names : usual names of ERA5 (GRIB short names, CDS), MERRA-2, CMIP and of this package
    """

    units: str
    standard_names: tuple[str, ...]
    names: tuple[str, ...]


QUANTITIES: Final[Mapping[str, Quantity]] = {
    "water_vapor": Quantity(
        "kg m-2",
        (
            "atmosphere_mass_content_of_water_vapor",
            "lwe_thickness_of_atmosphere_mass_content_of_water_vapor",
        ),
        ("water_vapor", "tcwv", "total_column_water_vapour", "TQV", "prw", "pwat"),
    ),
    "air_temperature": Quantity(
        "K", ("air_temperature",), ("air_temperature", "t2m", "2t", "2m_temperature", "T2M", "tas")
    ),
    "surface_pressure": Quantity(
        "hPa", ("surface_air_pressure",), ("surface_pressure", "sp", "PS", "ps")
    ),
    "skin_temperature": Quantity(
        "K", ("surface_temperature",), ("skin_temperature", "skt", "TS", "ts")
    ),
}
ORIGIN: Final = "orography"
"""The height of the surface that a model's fields hold for."""
OROGRAPHY: Final = Quantity(
    "m",
    ("surface_altitude", "surface_geopotential", "surface_geopotential_height"),
    ("ancillary_elevation", "orography", "orog", "z_sfc", "geopotential_at_surface", "PHIS", "zs"),
)


def recognise(ds: xr.Dataset) -> tuple[dict[str, str], dict[str, str]]:
    """Find the variables of a dataset that are ancillaries.

    Parameters
    ----------
    ds : Dataset

    Returns
    -------
    found : dict
        The dataset's name of each quantity (a key of `QUANTITIES`, or `ORIGIN`).
    passed_over : dict
        Of each variable that looks like an ancillary and was not taken, why.

    Notes
    -----
    The package's own names come first, then the usual short names in their order, then CF standard
    names [1]_. Of several that mean the same the first is taken.

    References
    ----------
    .. [1] CF Standard Name Table, cfconventions.org.
    """
    # cf-xarray takes over a second to import, and only reading a file needs it.
    import cf_xarray  # noqa: F401  registers `.cf`

    present = {str(name) for name in ds.data_vars}
    by_standard_name: dict[str, list[str]] = ds.cf.standard_names
    found: dict[str, str] = {}
    passed_over: dict[str, str] = {}
    for quantity, known in {**QUANTITIES, ORIGIN: OROGRAPHY}.items():
        candidates = [name for name in known.names if name in present]
        for standard_name in known.standard_names:
            candidates += [
                name
                for name in by_standard_name.get(standard_name, [])
                if name in present and not name.endswith("_error")
            ]
        for name in dict.fromkeys(candidates):
            if quantity in found:
                passed_over[name] = f"{found[quantity]} is taken as {quantity}"
            elif name not in found.values():
                found[quantity] = name
    return found, passed_over


def conversion(quantity: str, units: Any) -> tuple[float, float]:
    """Return the factor and offset that take values into the units of a quantity.

    Parameters
    ----------
    quantity : str
        Key of `QUANTITIES`, or `ORIGIN`.
    units : str or None
        What the variable says of itself.

    Returns
    -------
    factor, offset : float
        Of ``value * factor + offset``. A depth of water (mm) becomes a column of the same mass, a
        geopotential (m2 s-2) a height.

    Raises
    ------
    UnitsError
        Units are absent, unknown or of another dimension.
    """
    target = OROGRAPHY.units if quantity == ORIGIN else QUANTITIES[quantity].units
    if units is None or not str(units).strip():
        raise UnitsError(f"it has no units, expected {target!r} or what converts to it")
    if str(units).strip() in SPELLINGS[target]:
        return 1.0, 0.0
    registry, pint_error = _registry()
    try:
        given = registry.Unit(str(units))
        if quantity == "water_vapor" and given.is_compatible_with("m"):
            depth = registry.Quantity(1.0, given).to("m").magnitude
            return float(depth) * WATER_DENSITY, 0.0
        if quantity == ORIGIN and given.is_compatible_with("m2 s-2"):
            return float(registry.Quantity(1.0, given).to("m2 s-2").magnitude) / STANDARD_GRAVITY, 0
        zero, one = registry.Quantity(np.array([0.0, 1.0]), given).to(target).magnitude
    except (pint_error, ValueError, TypeError):
        raise UnitsError(
            f"its units are {str(units)!r}, expected {target!r} or what converts to it"
        ) from None
    return float(one - zero), float(zero)


@functools.cache
def _registry() -> tuple[Any, type[Exception]]:
    """Return the registry of units with CF's spellings, which takes two seconds to make."""
    pint_log = logging.getLogger("pint.util")
    level = pint_log.level
    # Building it redefines some of pint's own units. Pint would warn of each.
    pint_log.setLevel(logging.ERROR)
    try:
        import pint
        from cf_xarray.units import units
    finally:
        pint_log.setLevel(level)
    return units, pint.errors.PintError


def axes(ds: xr.Dataset) -> dict[str, tuple[str, ...]]:
    """Return the names of a dataset's coordinates: latitude, longitude, time, Y and X.

    By CF attributes where there are any, else by usual names and types, as cf-xarray knows them.

    Parameters
    ----------
    ds : Dataset
        A source's dataset.

    Returns
    -------
    dict of str to tuple of str
        Empty tuples where there is no such coordinate.
    """
    import cf_xarray  # noqa: F401  registers `.cf`

    known = ds.cf.guess_coord_axis()
    found: dict[str, list[str]] = {**known.cf.axes, **known.cf.coordinates}
    return {
        what: tuple(str(name) for name in found.get(what, ()))
        for what in ("latitude", "longitude", "time", "Y", "X")
    }
