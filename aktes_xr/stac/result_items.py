"""A result as STAC: an item for each date, one for the whole cube, and their collection.

The extensions are those that readers of STAC know: projection [1]_, datacube [2]_, Zarr [3]_,
processing [4]_ and scientific [5]_. A result that networks made links to them as a ``derived_from``
of the machine-learning-model extension [6]_.

References
----------
.. [1] https://github.com/stac-extensions/projection, version 2.0.0.
.. [2] https://github.com/stac-extensions/datacube, version 2.2.0.
.. [3] https://github.com/stac-extensions/zarr, version 1.1.0.
.. [4] https://github.com/stac-extensions/processing, version 1.2.0.
.. [5] https://github.com/stac-extensions/scientific, version 1.0.0.
.. [6] https://github.com/stac-extensions/mlm, version 1.5.0, "Relation Types".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pystac
import xarray as xr

from aktes_xr.cube import ITEM_SEPARATOR
from aktes_xr.errors import InputError
from aktes_xr.report.summary import DateSummary
from aktes_xr.stac.footprint import Footprint

PROJECTION: Final = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
DATACUBE: Final = "https://stac-extensions.github.io/datacube/v2.2.0/schema.json"
ZARR: Final = "https://stac-extensions.github.io/zarr/v1.1.0/schema.json"
PROCESSING: Final = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
SCIENTIFIC: Final = "https://stac-extensions.github.io/scientific/v1.0.0/schema.json"
ZARR_TYPE: Final = "application/vnd.zarr; version=3"
ICECHUNK_TYPE: Final = "application/vnd.zarr+icechunk"
METHOD_DOI: Final = "10.1016/j.aiia.2025.03.009"
DATA_DOI: Final = "10.5067/ASTER/AST_L1T.003"
_CITATIONS: Final = {
    METHOD_DOI: (
        "Dai, W., Mao, K., Guo, Z., Qin, Z., Shi, J., Bateni, S. M., Xiao, L. (2025): Joint "
        "optimization of AI large and small models for surface temperature and emissivity "
        "retrieval using knowledge distillation. Artificial Intelligence in Agriculture."
    ),
    DATA_DOI: (
        "NASA/METI/AIST/Japan Spacesystems and U.S./Japan ASTER Science Team: ASTER Level 1T "
        "Precision Terrain Corrected Registered At-Sensor Radiance."
    ),
}


def date_item(
    name: str, result: xr.Dataset, footprint: Footprint, summary: DateSummary
) -> pystac.Item:
    """Return the item of one date, without assets.

    Parameters
    ----------
    name : str
        Of the collection; the item's begins with it.
    result : Dataset
        With time.
    footprint : Footprint
        Of the result.
    summary : DateSummary
        Of the date.

    Returns
    -------
    pystac.Item
    """
    time = moments(result)[summary.number]
    share: dict[str, Any] = {"aktes:valid_percent": round(100.0 * summary.valid, 2)}
    middle = summary.percentiles[1]
    if np.isfinite(middle):
        share["aktes:median_surface_temperature_k"] = round(middle, 2)
    if "item_id" in result.coords:
        ids = str(np.atleast_1d(result["item_id"].to_numpy())[summary.number])
        share["aktes:source_items"] = ids.split(ITEM_SEPARATOR)
    return pystac.Item(
        id=f"{name}-{time:%Y%m%dT%H%M%SZ}",
        geometry=footprint.geometry,
        bbox=footprint.bbox,
        datetime=time,
        properties={**_common(result, footprint), **share},
        stac_extensions=[PROJECTION, PROCESSING],
    )


def series_item(name: str, result: xr.Dataset, footprint: Footprint) -> pystac.Item:
    """Return the item of the whole cube, without assets.

    Parameters
    ----------
    name : str
        Of the collection; the item's begins with it.
    result : Dataset
        With time.
    footprint : Footprint
        Of the result.

    Returns
    -------
    pystac.Item
    """
    times = moments(result)
    item = pystac.Item(
        id=f"{name}-series",
        geometry=footprint.geometry,
        bbox=footprint.bbox,
        datetime=None,
        start_datetime=times[0],
        end_datetime=times[-1],
        properties={
            **_common(result, footprint),
            "title": "All dates as one cube",
            "cube:dimensions": _dimensions(result, footprint, times),
            "cube:variables": _variables(result),
        },
        stac_extensions=[PROJECTION, PROCESSING, DATACUBE],
    )
    return item


def result_collection(
    name: str, result: xr.Dataset, footprint: Footprint, *, title: str, licence: str
) -> pystac.Collection:
    """Return the collection of a result, without items.

    Parameters
    ----------
    name : str
        Its id.
    result : Dataset
        With time.
    footprint : Footprint
        Of the result.
    title : str
        For people.
    licence : str
        An SPDX identifier, or ``"other"``.

    Returns
    -------
    pystac.Collection
    """
    times = moments(result)
    method = str(result.attrs.get("method_used", result.attrs.get("method", "retrieval")))
    common = _common(result, footprint)
    collection = pystac.Collection(
        id=name,
        title=title,
        description=(
            f"{result.attrs.get('title', title)}. {len(times)} date(s) from {times[0]:%Y-%m-%d} to "
            f"{times[-1]:%Y-%m-%d}, by {method}, each pixel with a standard uncertainty and "
            "quality flags."
        ),
        extent=pystac.Extent(
            pystac.SpatialExtent([footprint.bbox]),
            pystac.TemporalExtent([[times[0], times[-1]]]),
        ),
        license=licence,
        keywords=["ASTER", "land-surface temperature", "emissivity", "thermal infrared"],
        providers=[
            pystac.Provider(
                "aktes_xr",
                roles=[pystac.ProviderRole.PROCESSOR],
                extra_fields={
                    key: common[key] for key in ("processing:lineage", "processing:software")
                },
            )
        ],
        summaries=pystac.Summaries(
            {
                "platform": [common["platform"]],
                "instruments": common["instruments"],
                "gsd": [common["gsd"]],
                **({} if footprint.code is None else {"proj:code": [footprint.code]}),
            }
        ),
        stac_extensions=[PROCESSING, SCIENTIFIC],
        extra_fields={
            "sci:publications": [
                {"doi": doi, "citation": words} for doi, words in _CITATIONS.items()
            ]
        },
    )
    for doi in _CITATIONS:
        collection.add_link(pystac.Link("cite-as", f"https://doi.org/{doi}"))
    return collection


def moments(result: xr.Dataset) -> list[datetime]:
    """Return the times of a result's dates.

    Parameters
    ----------
    result : Dataset

    Returns
    -------
    list of datetime
        In UTC, to the second.

    Raises
    ------
    InputError
        It has no dates.
    """
    if "time" not in result.coords or result["time"].dtype.kind != "M":
        raise InputError("the result has no time: expected dates, as aktes_xr.retrieve makes them")
    stamps = np.atleast_1d(result["time"].to_numpy()).astype("datetime64[s]")
    return [stamp.replace(tzinfo=UTC) for stamp in stamps.tolist()]


def _common(result: xr.Dataset, footprint: Footprint) -> dict[str, Any]:
    """Return what each item says."""
    attrs = result.attrs
    lineage = f"method {attrs.get('method_used', attrs.get('method', 'not stated'))}"
    for key, word in (("bundle", "networks"), ("bundle_sha256", "hash of the networks")):
        if key in attrs:
            lineage += f"; {word} {attrs[key]}"
    return {
        "platform": "terra",
        "instruments": ["aster"],
        "gsd": abs(footprint.transform[0]),
        "processing:level": "L2",
        "processing:lineage": lineage,
        "processing:software": {"aktes_xr": str(attrs.get("package_version", "not stated"))},
        **footprint.properties,
    }


def _dimensions(
    result: xr.Dataset, footprint: Footprint, times: Sequence[datetime]
) -> dict[str, Any]:
    """Return the fields ``cube:dimensions`` of a result."""
    a, _, left, _, e, top = footprint.transform
    rows, columns = footprint.shape
    system: Any = footprint.wkt if footprint.code is None else int(footprint.code.split(":")[1])
    x = [left + a / 2, left + a * (columns - 0.5)]
    y = [top + e * (rows - 0.5), top + e / 2]
    stamps = [f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in times]
    found: dict[str, Any] = {
        "time": {"type": "temporal", "extent": [stamps[0], stamps[-1]], "values": stamps},
        "y": {"type": "spatial", "axis": "y", "extent": y, "step": abs(e)},
        "x": {"type": "spatial", "axis": "x", "extent": x, "step": abs(a)},
    }
    for axis in ("y", "x"):
        found[axis]["reference_system"] = system
    if "band" in result.coords:
        found["band"] = {"type": "bands", "values": [str(b) for b in result["band"].to_numpy()]}
    return found


def _variables(result: xr.Dataset) -> dict[str, Any]:
    """Return the fields ``cube:variables`` of a result."""
    found: dict[str, Any] = {}
    for name, array in result.data_vars.items():
        dims = [str(dim) for dim in array.dims]
        kind = "data" if {"y", "x"} <= set(dims) else "auxiliary"
        texts: Mapping[str, Any] = {
            "unit": array.attrs.get("units"),
            "description": array.attrs.get("long_name"),
        }
        known = {key: str(text) for key, text in texts.items() if text is not None}
        found[str(name)] = {"dimensions": dims, "type": kind, **known}
    return found
