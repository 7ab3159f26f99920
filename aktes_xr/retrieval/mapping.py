"""Retrieval as a lazy function of a cube: checks first, then one task per chunk and nothing else.

The graph holds block functions, small frozen values and the bundle's hash. Terrain is computed once
per region and shared by all dates.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import Final

import xarray as xr

from aktes_xr import sensor
from aktes_xr.cube import check
from aktes_xr.cube.grid import centre
from aktes_xr.cube.registration import band_shift as find_band_shift
from aktes_xr.errors import InputError
from aktes_xr.models.bundle import Bundle, load_bundle
from aktes_xr.models.context import REACH
from aktes_xr.models.runtime import register
from aktes_xr.retrieval.block import METHODS, PHYSICAL, BlockSettings, Method
from aktes_xr.retrieval.closure import Closure, closure_kept
from aktes_xr.retrieval.clouds import FOUND, Clouds, cloud_source
from aktes_xr.retrieval.graph import map_chunks
from aktes_xr.retrieval.inputs import assemble, terrain_of, with_shadows
from aktes_xr.retrieval.result import describe_result
from aktes_xr.retrieval.two_pass import Passes, retrieve_twice

_LOGGER = logging.getLogger(__name__)

_NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "student": ("elevation",),
    "tes": ("water_vapor", "air_temperature"),
    "split_window": ("water_vapor",),
}


def retrieve(
    ds: xr.Dataset,
    *,
    method: Method = "fusion",
    bundle: str | Bundle = "default",
    terrain: xr.Dataset | None = None,
    closure: bool | None = None,
    clouds: Clouds = "auto",
    keep_cloudy: bool = False,
    shadows: bool = False,
    band_shift: bool = False,
    uncertainty_components: bool = False,
    passes: Passes = 1,
    first: xr.Dataset | None = None,
) -> xr.Dataset:
    """Retrieve surface temperature and emissivity, lazily.

    Parameters
    ----------
    ds : Dataset
        A cube as `aktes_xr.cube` describes it: ``tir`` (time, band, y, x), and whatever of
        elevation, water vapour, air and skin temperature (with their errors), surface pressure,
        emissivity prior, cloud and water masks there is. A given surface pressure goes before that
        from elevation. Cloud does not count as a clear pixel's surroundings. A pixel of the water
        mask without an emissivity prior has water's.
    method : str
        ``"fusion"`` of teacher and student by terrain; ``"teacher"`` or ``"student"`` alone; the
        physics baselines ``"tes"``, which needs water vapour and air temperature, and
        ``"split_window"``, which needs water vapour.
    bundle : str or Bundle
        A shipped bundle's name, a path or URL that every worker reaches, or a loaded bundle.
    terrain : Dataset, optional
        Terrain indices and complexity of this grid (`aktes_xr.terrain`), where they are at hand;
        otherwise they are computed, lazily, from ``ds["elevation"]``.
    closure : bool, optional
        Put what was retrieved back through the radiance equation, with the atmosphere that was
        given or, where it was not, the one that fits best. Adds ``closure_residual`` (K, rms over
        the bands) and, if True, ``closure_residual_by_band``. None: ``closure_residual`` alone, in
        a single pass of the networks over a cube that tells water vapour and air temperature, where
        it costs next to nothing. The flag ``not_closed`` is raised where the rms exceeds three
        times the noise and what the air's stated errors do, to first order. A pixel that lacks one
        of the five bands has neither residual nor flag.
    clouds : str
        ``"auto"``: the mask that the cube has, else the bundle's own test where it has one.
        ``"network"``: the test, whatever the cube has. ``"rules"``: two fixed rules, to compare it
        with (`aktes_xr.retrieval.cloud_rules`). ``"none"``: the mask or nothing. Where
        either is known the result has ``cloud_probability`` and ``cloud_confidence``, the risk of a
        cloud that was missed is part of the uncertainties, and the attribute ``cloud_source`` says
        which it was.
    keep_cloudy : bool
        Keep temperatures and emissivities of pixels under cloud, which are NaN otherwise.
    shadows : bool
        Mark the pixels from which terrain hides the sun (the condition ``cast_shadow``). It takes a
        search of the horizon for each date.
    band_shift : bool
        Find how far each band lies from the others (`aktes_xr.cube.registration`). Adds
        ``band_shift`` (time, band), pixels, one small lazy task per date; `aktes_xr.write_result`
        warns of shifted bands and names them in the attribute ``shifted_bands``.
    uncertainty_components : bool
        Add ``surface_temperature_uncertainty_noise``, ``_atmosphere``, ``_model``,
        ``_disagreement`` and ``_cloud`` (K), whose sum in quadrature is the whole
        (`aktes_xr.retrieval.components`). The networks run nine times more.
    passes : {1, 2}
        2 is for a series: each date is retrieved once more, and the emissivity that the other clear
        dates of its season show is its prior (`aktes_xr.retrieval.two_pass`). Where the ground has
        changed, or no other date of the season is known, it keeps what it says by itself.
    first : Dataset, optional
        For the second pass: the first pass of all dates of the cube, and perhaps of more, as
        `aktes_xr.open_result` reads it from a store. Without it the first pass is made on the way,
        twice, which takes half as long again but no memory that grows with the dates.

    Returns
    -------
    Dataset
        Lazy; dims time, band, y, x as in the cube. ``surface_temperature`` (K), ``emissivity``,
        their standard uncertainties, ``student_weight``, ``terrain_complexity`` (K),
        ``sky_view_factor``, ``quality`` and ``conditions`` (uint16 CF flags). Without elevation the
        teacher retrieves, which the attribute ``method_used`` and the flag ``no_elevation`` say,
        and the two terrain variables are absent. After two passes also ``prior_dates`` and
        ``other_dates`` (uint8): how many dates the prior is made of, and how many there were. None
        of several means that the ground has changed. Without ``first`` there is ``background``
        (time, y, x), K, as a cloud test takes it.

    Raises
    ------
    CubeError
        The cube breaks its contract; see `aktes_xr.cube.check`.
    MissingVariableError
        The method needs a variable the cube has not.
    BundleError
        The bundle cannot be used.
    InputError
        There is no such method, the bundle has no student, components of a physical method are
        asked for, or the first pass lacks a date.
    """
    if method not in METHODS:
        raise InputError(f"found method {method!r}, expected one of {', '.join(METHODS)}")
    _refuse_passes(method, passes, first)
    needed = set(_NEEDED.get(method, ()))
    if method == "student" and terrain is not None:
        needed.remove("elevation")
    if uncertainty_components and method in PHYSICAL:
        raise InputError(
            f"found uncertainty_components with method {method!r}, whose uncertainty is propagated "
            "and not stated: use a method of the networks, such as 'fusion'"
        )
    info = check(ds, require=needed)
    loaded = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
    if terrain is None and info.has_elevation:
        terrain = terrain_of(ds)
    # A second pass takes the residual for an error of the first: that is for those who ask.
    kept = closure_kept(ds, closure, by_default=passes == 1 and method not in PHYSICAL)
    once = partial(
        _retrieve_once,
        method=method,
        bundle=loaded,
        terrain=terrain,
        choices=_Choices(kept, clouds, keep_cloudy, shadows, uncertainty_components),
    )
    result = once(ds) if passes == 1 else retrieve_twice(ds, once, first=first, halo=REACH)
    return result.assign(band_shift=find_band_shift(ds)) if band_shift else result


@dataclass(frozen=True)
class _Choices:
    closure: Closure
    clouds: Clouds
    keep_cloudy: bool
    shadows: bool
    components: bool


def _retrieve_once(
    ds: xr.Dataset,
    *,
    method: Method,
    bundle: Bundle,
    terrain: xr.Dataset | None,
    choices: _Choices,
) -> xr.Dataset:
    """Retrieve each date of a checked cube by itself."""
    source = cloud_source(ds, bundle, choices.clouds)
    if source in FOUND:
        ds = ds.drop_vars("cloud", errors="ignore")
    if source == "rules":
        # They know no background.
        ds = ds.drop_vars("background", errors="ignore")
    if choices.shadows:
        ds = with_shadows(ds)
    test = bundle.cloud_test if source == "network" else None
    student = None
    if method in {"fusion", "student"} and terrain is not None:
        student = _student(ds, bundle, method)
    elif method == "fusion":
        _LOGGER.info("the cube has no elevation: the teacher retrieves alone, and the flags say so")
    settings = BlockSettings(
        method=method,
        bundle=register(bundle),
        student=student,
        halo=0 if method in PHYSICAL else REACH,
        steep_k=sensor.NEDT_SPECIFICATION_K,
        closure=choices.closure,
        components=choices.components,
        keep_cloudy=choices.keep_cloudy,
        cloud_source=source,
        missed_cloud_k=0.0 if test is None else test.missed_k,
    )
    fields = assemble(ds, terrain, halo=settings.edge, clouds=source in FOUND)
    stacked = map_chunks(fields, settings)
    return describe_result(ds, stacked, terrain, settings=settings, bundle=bundle)


def _refuse_passes(method: Method, passes: Passes, first: xr.Dataset | None) -> None:
    if passes not in (1, 2):
        raise InputError(f"found passes={passes!r}, expected 1 or 2")
    if passes == 2 and method in PHYSICAL:
        raise InputError(
            f"found passes=2 with method {method!r}, which takes no prior with its error: expected "
            "'fusion', 'teacher' or 'student'"
        )
    if passes == 1 and first is not None:
        raise InputError("found a first pass for passes=1: pass passes=2 with it")


def _student(ds: xr.Dataset, bundle: Bundle, method: str) -> str | None:
    longitude, latitude = centre(ds)
    student = bundle.student_at(longitude, latitude)
    if student is None and method == "student":
        raise InputError(
            f"the bundle {bundle.name!r} has no student for {longitude:.2f} E, {latitude:.2f} N; "
            "use method='teacher' or distil a student for the place"
        )
    return None if student is None else student.name
