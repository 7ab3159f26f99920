"""`add_ancillaries`: variables of sources become variables of the cube, with their errors."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import dask.array as da
import numpy as np
import xarray as xr

from aktes_xr.ancillaries.interpolation import Fields
from aktes_xr.ancillaries.names import ORIGIN, QUANTITIES
from aktes_xr.ancillaries.opening import SourceLike, open_source
from aktes_xr.ancillaries.prior import add_emissivity_prior, holds_emissivity
from aktes_xr.ancillaries.supply import Laid, OnError, Supply
from aktes_xr.catalog import Source
from aktes_xr.cube import ANCILLARIES, check, describe
from aktes_xr.errors import AncillaryError, InputError, MissingVariableError, UnitsError

logger = logging.getLogger(__name__)

_ON_ERROR: Final = ("nodata", "raise")
_PRIOR: Final = ("emissivity_prior", "emissivity_prior_uncertainty")
_MASKS: Final = ("cloud", "water")
_LAYERED: Final = "surface_pressure"
"""Quantities that follow the temperature of the layer between the two heights."""


def add_ancillaries(
    ds: xr.Dataset,
    source: SourceLike | Sequence[SourceLike],
    *,
    variables: Collection[str] | None = None,
    errors: OnError = "nodata",
) -> xr.Dataset:
    """Add water column, air temperature, surface pressure and skin temperature to a cube, lazily.

    Parameters
    ----------
    ds : Dataset
        A cube; see `aktes_xr.cube`.
    source : str, Path, Source, Dataset, or several of them
        A shipped source's name (``"era5"``, ``"arco-era5"``; ``"ged"``, ``"camel"`` for an
        emissivity prior); a YAML file that defines one as ``catalogs/`` does; path of a Zarr store,
        of a NetCDF or GRIB file, or of a folder with emissivity files; ``s3://``, ``gs://`` or
        ``http(s)://`` address of a Zarr store that anybody may read; or an open dataset. Of
        several, the first that holds a variable gives it.
    variables : collection of str, optional
        Only these of the cube's ancillaries; all that the source holds unless given.
    errors : {"nodata", "raise"}
        What a date is for which the source holds nothing: NaN in the cube, with a warning that
        names it, or an error. If it holds nothing for any of them, that is an error either way.

    Returns
    -------
    Dataset
        With ``water_vapor`` (kg m-2), ``air_temperature`` (K), ``surface_pressure`` (hPa) and
        ``skin_temperature`` (K), each with its ``_error`` (one standard deviation), (time, y, x)
        float32; (time) where the source has no place. They are linear in time between samples at
        most twelve hours apart, else the nearest within six; bilinear in space; and carried from
        the source's orography to the cube's ``elevation`` (see `aktes_xr.ancillaries.height`).
        ``ancillary_elevation`` is then that elevation; without an elevation, the orography.
        Attributes ``ancillary_*`` say what came from where.

    Raises
    ------
    AncillaryError
        The source cannot be used, or holds nothing for any date.
    MissingVariableError
        It holds no ancillary variable that can be used.
    GridError
        It does not cover the cube.
    DependencyError
        A package is missing; the message names the extra to install.
    CubeError
        The cube breaks its contract.

    Notes
    -----
    Fields that lie on the cube's own pixels are taken as they are, without carrying them. An error
    that comes with a variable (its name with ``_error``) takes the place of the assumed one. Of a
    store that holds the same in several chunkings, that is read which needs the fewest bytes for
    the dates and the area at hand.
    """
    if errors not in _ON_ERROR:
        raise InputError(f"errors is {errors!r}, expected {' or '.join(map(repr, _ON_ERROR))}")
    unknown = set(variables or ()) - ANCILLARIES
    if unknown:
        raise InputError(
            f"found variables {', '.join(sorted(unknown))}, expected of "
            f"{', '.join(sorted(ANCILLARIES))}"
        )
    check(ds)
    if isinstance(source, str | Path | Source | xr.Dataset):
        several: list[SourceLike] = [source]
    else:
        several = list(source)
    if not several:
        raise InputError("found no source of ancillaries, expected at least one")
    taken: set[str] = set()
    for one in several:
        wanted = (ANCILLARIES if variables is None else frozenset(variables)) - taken
        if holds_emissivity(one):
            if "emissivity_prior" in wanted:
                ds = add_emissivity_prior(ds, one)
                taken |= {*_PRIOR}
            continue
        ds, added = _add_one(ds, one, wanted, errors)
        taken |= added
    return ds


def _add_one(
    ds: xr.Dataset, source: SourceLike, wanted: frozenset[str], errors: OnError
) -> tuple[xr.Dataset, set[str]]:
    """Add the variables of one source; return their names, too."""
    opened = open_source(source)
    supply = Supply(ds, opened, errors)
    names = {key: name for key, name in (opened.variables or {}).items() if key in QUANTITIES}
    refused = dict(opened.passed_over)
    laid: dict[str, Laid] = {}
    for quantity, name in names.items():
        if quantity in wanted:
            try:
                laid[quantity] = supply.lay_out(quantity, name)
            except (UnitsError, AncillaryError) as error:
                refused[name] = str(error)
    added: dict[str, xr.Variable] = {}
    origin = (opened.variables or {}).get(ORIGIN)
    for one in laid.values():
        if one.layout.kind != "grid":
            added |= _as_they_are(supply, one)
    gridded = [one for one in laid.values() if one.layout.kind == "grid"]
    if gridded:
        added |= _interpolated(supply, gridded, origin)
    elif origin == "ancillary_elevation" and {"water_vapor", "air_temperature"} & added.keys():
        added |= _own_height(supply, origin, refused)
    added |= _plain_fields(supply, wanted, refused)
    for name, reason in sorted(refused.items()):
        logger.warning("%s: %r is not used: %s", opened.label, name, reason)
    if not added:
        raise _nothing(supply, refused)
    kept = ds.drop_vars([name for name in added if name in ds])
    return describe(kept.assign(added)).assign_attrs(_provenance(supply, added)), set(added)


def _error_of(supply: Supply, laid: Laid) -> Laid | None:
    """Return the error that a source states of a variable, where it does."""
    for name in (f"{laid.name}_error", f"{laid.quantity}_error"):
        if name in supply.opened.datasets[0].data_vars:
            return supply.lay_out(laid.quantity, name, spread=True)
    return None


def _as_they_are(supply: Supply, laid: Laid) -> dict[str, xr.Variable]:
    added = {laid.quantity: supply.as_it_is(laid)}
    error = _error_of(supply, laid)
    if error is not None and error.layout.kind != "grid":
        added[f"{laid.quantity}_error"] = supply.as_it_is(error)
    return added


def _own_height(supply: Supply, name: str, refused: dict[str, str]) -> dict[str, xr.Variable]:
    """Take from a file on the cube's own grid the height that its values hold for."""
    try:
        height = supply.lay_out(ORIGIN, name)
    except (UnitsError, AncillaryError) as error:
        refused[name] = str(error)
        return {}
    if height.layout.kind == "grid" or height.layout.time is not None:
        refused[name] = "it lies on other pixels than the fields"
        return {}
    return {"ancillary_elevation": supply.as_it_is(height)}


def _interpolated(
    supply: Supply, gridded: list[Laid], origin: str | None
) -> dict[str, xr.Variable]:
    """Interpolate and carry gridded fields; set the height that they then hold for."""
    source = supply.choose(gridded)
    at_dates = {one.quantity: supply.cells_at_dates(one, source) for one in gridded}
    elevation = supply.ds.get("elevation")
    added: dict[str, xr.Variable] = {}
    for one in gridded:
        orography = supply.orography(one, source, origin)
        if orography is None:
            logger.info(
                "%s says no height of its surface: %s is not carried to the cube's elevation",
                supply.opened.label,
                one.quantity,
            )
        fields = Fields(
            at_dates[one.quantity],
            orography=orography,
            temperature=at_dates.get("air_temperature") if one.quantity == _LAYERED else None,
            stated=_stated(supply, one, source),
        )
        height = None if elevation is None else da.asarray(elevation.data)
        value, error = supply.pixels(one, fields, height)
        added |= {one.quantity: value, f"{one.quantity}_error": error}
        if orography is not None and one.quantity in {"water_vapor", "air_temperature"}:
            added["ancillary_elevation"] = (
                supply.heights(one, orography) if elevation is None else elevation.variable.copy()
            )
    return added


def _stated(supply: Supply, laid: Laid, source: xr.Dataset) -> da.Array | None:
    """Return the error that a source states (date, row, column), or one cell for all places."""
    error = _error_of(supply, laid)
    if error is None or error.layout.kind == "cube":
        return None
    if error.layout.kind == "grid":
        return supply.cells_at_dates(error, source)
    stated = da.asarray(supply.as_it_is(error).data).astype(np.float32)
    return da.broadcast_to(stated.reshape(-1, 1, 1), (supply.ds.sizes["time"], 1, 1))


def _plain_fields(
    supply: Supply, wanted: frozenset[str], refused: dict[str, str]
) -> dict[str, xr.Variable]:
    """Take an emissivity prior or masks that a file brings under the cube's own names."""
    added: dict[str, xr.Variable] = {}
    present = wanted & {str(name) for name in supply.opened.datasets[0].data_vars}
    for name in (*_PRIOR, *_MASKS):
        if name in present:
            try:
                added[name] = supply.prior(name) if name in _PRIOR else supply.mask(name)
            except AncillaryError as error:
                refused[name] = str(error)
    return added


def _nothing(supply: Supply, refused: Mapping[str, str]) -> MissingVariableError:
    found = ", ".join(sorted(map(str, supply.opened.datasets[0].data_vars)))[:300] or "none"
    why = "".join(f"; {name}: {reason}" for name, reason in sorted(refused.items()))
    return MissingVariableError(
        f"{supply.opened.label} holds no ancillary variable that can be used (found: {found}"
        f"{why}); expected at least one of {', '.join(QUANTITIES)}, by these names, by a usual "
        "short name or by a CF standard name"
    )


def _provenance(supply: Supply, added: Mapping[str, Any]) -> dict[str, str]:
    """Add to the cube's attributes what came from which source, after what they say already."""
    opened = supply.opened
    names = ", ".join(sorted(name for name in added if not name.endswith(("_error", "_elevation"))))
    said = {
        "ancillary_source": f"{names} from {opened.label}",
        "ancillary_snapshot": opened.snapshot,
        "ancillary_times": " to ".join(supply.hours) or None,
        "ancillary_licence": None if opened.shipped is None else opened.shipped.licence,
        "ancillary_citation": None if opened.shipped is None else opened.shipped.citation,
    }
    attrs: dict[str, str] = {}
    for key, text in said.items():
        if text is not None:
            before = supply.ds.attrs.get(key)
            attrs[key] = text if before in (None, text) else f"{before}; {text}"
    return attrs
