"""A region as a value: its place, its land covers, its air and its relief.

A TOML file describes it::

    name = "atacama"
    footprint = [-71.0, -27.0, -66.0, -19.0]      # west, south, east, north, degrees
    covers = ["arid", "arid", "alpine"]           # land covers, equally often
    water_vapor = [1.0, 15.0]                     # kg m-2 over the region's mean height
    air_temperature = [268.0, 300.0]              # K, at that height
    base_shift = [500.0, 3000.0]                  # m, by how much synthetic relief is lifted
    landforms = [["alpine", 2600.0], ["canyon", 1200.0]]
    dem = "atacama-90m.tif"                       # instead of landforms; beside the file
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.errors import ConfigError
from aktes_xr.simulate.domains import DOMAIN_PIXELS, PATCH_PIXELS, Locality
from aktes_xr.simulate.relief import LANDFORMS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Footprint = tuple[float, float, float, float]

_KEYS: Final = {
    "name",
    "footprint",
    "covers",
    "water_vapor",
    "air_temperature",
    "base_shift",
    "landforms",
    "dem",
}
_CELL_M: Final = (60.0, 130.0)
MAX_DOMAINS: Final = 9
_SHIPPED: Final = Path(__file__).parent.parent / "data" / "regions"


@dataclass(frozen=True)
class Region:
    """A region that has a student of its own.

    Attributes
    ----------
    name : str
        Of the region and of its student; an identifier.
    footprint : tuple of float
        West, south, east, north, degrees.
    locality : Locality
        What its terrain samples are like.
    """

    name: str
    footprint: Footprint
    locality: Locality

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name in {"teacher", "student"}:
            raise ConfigError(
                f"found the region's name {self.name!r}; expected letters, digits and underscores, "
                "and neither 'teacher' nor 'student'"
            )
        west, south, east, north = self.footprint
        if not (-180.0 <= west < east <= 180.0 and -90.0 <= south < north <= 90.0):
            raise ConfigError(
                f"found the footprint {list(self.footprint)}; expected west < east and "
                "south < north in degrees"
            )


def load_region(path: str | Path, *, dem: str | Path | None = None) -> Region:
    """Read a region's file.

    Parameters
    ----------
    path : str or Path
        TOML (see the module), or the name of a shipped region.
    dem : str or Path, optional
        Elevation model instead of the file's: metres, projected, about 90 m, without gaps.

    Returns
    -------
    Region

    Raises
    ------
    ConfigError
        The file is missing, is not TOML, or says something a region has not.
    """
    source = Path(path)
    shipped = _SHIPPED / f"{path}.toml"
    if not source.is_file() and str(path).isidentifier() and shipped.is_file():
        source = shipped
    if not source.is_file():
        names = ", ".join(sorted(file.stem for file in _SHIPPED.glob("*.toml")))
        raise ConfigError(
            f"found no region file {source.name!r}: expected a TOML file, or one of {names}"
        )
    try:
        settings = tomllib.loads(source.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source.name} is not TOML: {error}") from error
    if unknown := sorted(set(settings) - _KEYS):
        raise ConfigError(
            f"{source.name} has unknown keys {', '.join(unknown)}; expected some of "
            f"{', '.join(sorted(_KEYS))}"
        )
    try:
        footprint = _numbers(settings["footprint"], 4)
        name = str(settings["name"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{source.name} needs a name and a footprint of four numbers ({error})"
        ) from error
    if dem is None and "dem" in settings:
        dem = source.parent / str(settings["dem"])
    west, south, east, north = footprint
    locality = _locality(settings, source.name, () if dem is None else domains_of(dem))
    return Region(name, (west, south, east, north), locality)


def _locality(
    settings: dict[str, Any], where: str, elevation: tuple[NDArray[np.float32], ...]
) -> Locality:
    options: dict[str, Any] = {"elevation": elevation}
    try:
        if "covers" in settings:
            options["covers"] = tuple(str(cover) for cover in settings["covers"])
        for key, field in (
            ("water_vapor", "water_vapor_range"),
            ("air_temperature", "air_temperature_range_k"),
            ("base_shift", "base_shift_m"),
        ):
            if key in settings:
                options[field] = _numbers(settings[key], 2)
        forms = [(str(kind), float(height)) for kind, height in settings.get("landforms", [])]
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{where} has a value of another kind than a region has ({error})"
        ) from error
    if unknown := sorted({kind for kind, _ in forms} - set(LANDFORMS)):
        raise ConfigError(
            f"{where} names the landforms {', '.join(unknown)}; expected some of "
            f"{', '.join(LANDFORMS)}"
        )
    return Locality(**options, landforms=tuple(forms))  # type: ignore[arg-type]


def _numbers(values: Any, count: int) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in values)
    if len(numbers) != count:
        raise ValueError(f"found {len(numbers)} numbers, expected {count}")
    return numbers


def domains_of(dem: str | Path) -> tuple[NDArray[np.float32], ...]:
    """Cut an elevation model into pieces to draw landscapes from.

    Parameters
    ----------
    dem : str or Path
        Raster of metres in a projected CRS, about 90 m.

    Returns
    -------
    tuple of ndarray (y, x), float32, m
        At most `MAX_DOMAINS`, of the greatest relief, none with gaps.

    Raises
    ------
    ConfigError
        It is not such a raster, or all its pieces have gaps.
    """
    import rasterio

    with rasterio.open(dem) as raster:
        cell = abs(raster.transform.e)
        if raster.crs is None or not raster.crs.is_projected or not _CELL_M[0] < cell < _CELL_M[1]:
            raise ConfigError(
                f"{Path(dem).name} has pixels of {cell:g} in its CRS's unit; expected a projected "
                f"CRS and pixels of {_CELL_M[0]:g} to {_CELL_M[1]:g} m, such as gdalwarp -tr 90 90 "
                "makes"
            )
        values = raster.read(1, masked=True).astype(np.float32).filled(np.nan)
    pieces = []
    for top in range(0, max(values.shape[0] - PATCH_PIXELS, 1), DOMAIN_PIXELS):
        for left in range(0, max(values.shape[1] - PATCH_PIXELS, 1), DOMAIN_PIXELS):
            piece = values[top : top + DOMAIN_PIXELS, left : left + DOMAIN_PIXELS]
            if min(piece.shape) > PATCH_PIXELS and np.isfinite(piece).all():
                pieces.append(np.ascontiguousarray(piece))
    if not pieces:
        raise ConfigError(
            f"{Path(dem).name} has no piece without gaps that is more than {PATCH_PIXELS} pixels "
            "each way"
        )
    pieces.sort(key=lambda piece: float(piece.std()), reverse=True)
    return tuple(pieces[:MAX_DOMAINS])
