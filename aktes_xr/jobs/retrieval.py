"""One retrieval: find the granules, open the cube, retrieve, write the store, account for it."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from aktes_xr.ancillaries import add_cloud_mask
from aktes_xr.ancillaries.cloud_mask import check_cloud_mask
from aktes_xr.cube.quality import QualityFlag
from aktes_xr.errors import InputError, StoreError
from aktes_xr.jobs.access import elevation_of, modifier_of
from aktes_xr.models import load_bundle
from aktes_xr.retrieval import retrieve
from aktes_xr.stac import open_stac, search
from aktes_xr.stac.extent import Resolution
from aktes_xr.stac.grid import checked_bbox
from aktes_xr.stac.search import interval_of
from aktes_xr.store import write_result
from aktes_xr.store.counts import Counts

if TYPE_CHECKING:
    from aktes_xr.retrieval.block import Method
    from aktes_xr.retrieval.clouds import Clouds
from aktes_xr.retrieval.two_pass import Passes

__all__ = [
    "DateOutcome",
    "Outcome",
    "Request",
    "open_request",
    "retrieve_to_store",
]


@dataclass(frozen=True)
class Request:
    """What to retrieve, and how.

    Attributes
    ----------
    items : paths or addresses of STAC items, item collections or static catalogues
    source : where to search instead: a shipped source's name, an API or a static catalogue
    bbox : (west, south, east, north), degrees; the area searched and the area of the cube
    datetime : the period searched, such as ``"2004-07/2004-08"``
    dem : elevation raster, or the name of a shipped elevation source
    ancillary : sources of water column, air temperature and the like, or of an emissivity prior, as
        `aktes_xr.add_ancillaries` takes them
    cloud_mask : files or folders of MOD35_L2 granules, or ``"mod35"``, as
        `aktes_xr.add_cloud_mask` takes them
    cloud_mask_folder : where downloaded granules are kept; the user's cache unless given
    crs, resolution_m : grid of the cube, as `aktes_xr.open_stac` takes them
    method, bundle, clouds, keep_cloudy, closure, band_shift, passes : as in `aktes_xr.retrieve`
    encoding : as in `aktes_xr.write_result`
    errors : what an unreadable file is: nodata in the result, or an error
    """

    items: tuple[str, ...] = ()
    source: str | None = None
    bbox: tuple[float, float, float, float] | None = None
    datetime: str | None = None
    dem: str | None = None
    ancillary: tuple[str, ...] = ()
    cloud_mask: tuple[str, ...] = ()
    cloud_mask_folder: str | None = None
    crs: str | None = None
    resolution_m: Resolution = 90.0
    method: Method = "fusion"
    bundle: str = "default"
    clouds: Clouds = "auto"
    keep_cloudy: bool = False
    closure: bool | None = None
    band_shift: bool = False
    encoding: Literal["float", "jpl"] = "float"
    passes: Passes = 1
    errors: Literal["nodata", "raise"] = "nodata"


@dataclass(frozen=True)
class DateOutcome:
    """One date of the result.

    Attributes
    ----------
    time, item_id : when, and of which item or items
    valid_share : of pixels with a temperature
    unreadable_share : of pixels that are fill because a file could not be read
    """

    time: str
    item_id: str
    valid_share: float
    unreadable_share: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What a retrieval left behind.

    Attributes
    ----------
    store, dates, skipped : where, what of each date, and items that were not used
    network_work_saved : share of both networks' multiplications that the fusion spared by not
        running one where it has no weight; None where there is no fusion
    """

    store: str
    dates: tuple[DateOutcome, ...]
    skipped: tuple[dict[str, str], ...]
    network_work_saved: float | None = None

    @property
    def complete(self) -> bool:
        """Whether every item was used, was readable and gave at least one temperature."""
        return not self.skipped and all(
            date.valid_share > 0.0 and date.unreadable_share == 0.0 for date in self.dates
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain types for JSON."""
        return {"complete": self.complete, **asdict(self)}


def open_request(request: Request) -> xr.Dataset:
    """Find the items of a request and open them as a cube.

    Parameters
    ----------
    request : Request

    Returns
    -------
    Dataset
        The lazy cube, with elevation, ancillaries and cloud mask where the request names them.

    Raises
    ------
    InputError
        Neither items nor a source is named, or both.
    DependencyError
        The source's links need a signing package, or the cloud mask a reader, that is not
        installed.
    StacError
        The search fails, or nothing is left to load.
    AncillaryError, ReadError
        What is named as ancillaries or as cloud mask cannot be used or downloaded.
    """
    if bool(request.items) == (request.source is not None):
        raise InputError(
            "name either STAC items or a source to search: found "
            + ("both" if request.items else "neither")
        )
    if request.source is not None and request.bbox is None:
        raise InputError(f"searching {request.source!r} needs bbox=(west, south, east, north)")
    # What is wrong in itself is said before what the source needs besides.
    if request.bbox is not None:
        checked_bbox(request.bbox)
    interval_of(request.datetime)
    if request.cloud_mask:
        check_cloud_mask(request.cloud_mask, clouds=request.clouds)
    modifier = modifier_of(request.source)
    found: Any = request.items
    if request.source is not None:
        found = search(
            request.source, bbox=request.bbox, datetime=request.datetime, modifier=modifier
        )
    ds = open_stac(
        found,
        bbox=request.bbox,
        crs=request.crs,
        resolution=request.resolution_m,
        dem=elevation_of(request.dem, request.bbox, modifier),
        modifier=modifier,
        errors=request.errors,
        ancillaries=request.ancillary or None,
    )
    if not request.cloud_mask:
        return ds
    return add_cloud_mask(ds, request.cloud_mask, folder=request.cloud_mask_folder)


def retrieve_to_store(
    request: Request,
    store: str | PathLike[str],
    *,
    overwrite: bool = False,
    accept_worse: bool = False,
    watch: AbstractContextManager[None] | None = None,
) -> Outcome:
    """Retrieve what a request names and write it to a Zarr store.

    Parameters
    ----------
    request : Request
    store : path or address of the store
    overwrite : replace what is there, unless the new result is worse (`aktes_xr.write_result`)
    accept_worse : replace it even then
    watch : entered around the computation, to show progress

    Returns
    -------
    Outcome

    Raises
    ------
    AktesError
        Whatever `open_request`, `aktes_xr.retrieve` and `aktes_xr.write_result` raise.
    """
    ds = open_request(request)
    result = retrieve(
        ds,
        method=request.method,
        bundle=request.bundle,
        clouds=request.clouds,
        keep_cloudy=request.keep_cloudy,
        closure=request.closure,
        band_shift=request.band_shift,
        passes=request.passes,
    )
    outcome = partial(_outcome, str(store), ds, result, request.bundle)
    with watch if watch is not None else nullcontext():
        counts = write_result(
            result,
            store,
            overwrite=overwrite,
            accept_worse=accept_worse,
            encoding=request.encoding,
            summary=lambda counts: _attributes(outcome(counts)),
        )
    if counts is None:
        raise StoreError("the result has no surface_temperature (time, y, x) to account for")
    return outcome(counts)


def _outcome(
    store: str, ds: xr.Dataset, result: xr.Dataset, bundle: str, counts: Counts
) -> Outcome:
    """Say what the counts mean for each date and for the whole."""
    valid, unreadable = counts.valid / counts.pixels, counts.unreadable / counts.pixels
    dates = tuple(
        DateOutcome(
            str(np.datetime_as_string(time, unit="s")), str(item), _share(good), _share(bad)
        )
        for time, item, good, bad in zip(
            result["time"].values, result["item_id"].values, valid, unreadable, strict=True
        )
    )
    return Outcome(
        store=store,
        dates=dates,
        skipped=tuple(json.loads(ds.attrs.get("skipped_items", "[]"))),
        network_work_saved=_work_saved(result, bundle, counts),
    )


def _attributes(outcome: Outcome) -> dict[str, Any]:
    """Return what of an outcome is kept in the store."""
    saved = outcome.network_work_saved
    found: dict[str, Any] = {} if saved is None else {"network_work_saved": saved}
    unreadable = {
        date.item_id: date.unreadable_share for date in outcome.dates if date.unreadable_share
    }
    if unreadable:
        found |= {"unreadable_items": len(unreadable), "unreadable_share": unreadable}
    if outcome.skipped:
        found["skipped_items"] = json.dumps(list(outcome.skipped))
    return found


def _work_saved(result: xr.Dataset, bundle: str, counts: Counts) -> float | None:
    """Count what the fusion did not run, by what the flags say of each pixel."""
    if result.attrs.get("fusion_floor") is None:
        return None
    models = load_bundle(bundle).models
    names = ("teacher", str(result.attrs["student"]))
    teacher_cost, student_cost = (models[name].network.multiplications for name in names)
    teacher, student, both = (
        float(counts.retrieved[flag].sum())
        for flag in (
            QualityFlag.RETRIEVED_BY_TEACHER,
            QualityFlag.RETRIEVED_BY_STUDENT,
            QualityFlag.RETRIEVED_BY_FUSION,
        )
    )
    spared = teacher * student_cost + student * teacher_cost
    every = (teacher + student + both) * (teacher_cost + student_cost)
    return round(spared / every, 4) if every else 0.0


def _share(share: float) -> float:
    """Round to four places, but never what is there to nothing."""
    return max(round(float(share), 4), 0.0001) if share > 0.0 else 0.0
