"""Granules over terrain that training never saw, and what every method makes of them.

Relief is of other seeds, heights and (ridges and valleys, volcanoes) kinds than in training;
atmospheres and surfaces are of the test split, one air mass per date. Water vapour and air
temperature are told with errors common to the scene in the main, every other date has an emissivity
climatology.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from aktes_xr import sensor
from aktes_xr.baselines import split_window, tes
from aktes_xr.cube.contract import DEFAULT_EMISSIVITY_ERROR
from aktes_xr.radiative import surface_leaving_radiance, surface_pressure_from_elevation
from aktes_xr.radiative.emulator import band_atmosphere
from aktes_xr.retrieval import retrieve
from aktes_xr.retrieval.inputs import terrain_of
from aktes_xr.simulate.ground import ground_dataset, make_ground
from aktes_xr.simulate.landscape import neighbourhood_radiance
from aktes_xr.simulate.relief import Landform, landform
from aktes_xr.simulate.scene import simulate_dates
from aktes_xr.simulate.settings import SceneSettings

if TYPE_CHECKING:
    import xarray as xr

    from aktes_xr.compilation import Float32Array
    from aktes_xr.models import Bundle
    from aktes_xr.simulate.landcover import Cover


NETWORKS: Final = ("teacher", "student", "fusion")
_INPUTS: Final = (
    "tir",
    "elevation",
    "water_vapor",
    "water_vapor_error",
    "air_temperature",
    "air_temperature_error",
    "ancillary_elevation",
    "emissivity_prior",
    "emissivity_prior_uncertainty",
)


@dataclass(frozen=True)
class Site:
    """Where granules lie: kind of relief, its height and seed, and what covers it."""

    kind: Landform
    relief_m: float
    seed: int
    cover: Cover

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.kind.replace('_', '-')} {self.relief_m:g} m, {self.cover}"


SITES: Final = (
    Site("alpine", 3200.0, 901, "alpine"),
    Site("alpine", 4800.0, 902, "temperate"),
    Site("alpine", 1600.0, 903, "arid"),
    Site("ridge_valley", 1500.0, 904, "temperate"),
    Site("ridge_valley", 2600.0, 905, "arid"),
    Site("volcano", 3000.0, 906, "arid"),
    Site("volcano", 3600.0, 907, "alpine"),
    Site("canyon", 1300.0, 908, "temperate"),
)


class Estimate(NamedTuple):
    """Temperature (y, x), emissivity (band, y, x); uncertainties where a method states them."""

    temperature: Float32Array
    emissivity: Float32Array | None
    sigma: Float32Array | None = None
    weight: Float32Array | None = None


class Granule(NamedTuple):
    """One date: truth, terrain, and the estimates by method."""

    site: Site
    day: bool
    prior: bool
    truth: Float32Array
    emissivity: Float32Array
    sky_view_factor: Float32Array
    estimates: dict[str, Estimate]


def granules(
    bundle: Bundle, *, shape: tuple[int, int], dates: int, sites: tuple[Site, ...] = SITES
) -> Iterator[Granule]:
    """Simulate and retrieve ``dates`` days and as many nights over each site.

    Parameters
    ----------
    bundle : Bundle
    shape : (int, int)
        Rows and columns.
    dates : int
    sites : tuple of Site
    """
    for site in sites:
        elevation = landform(site.kind, shape, seed=site.seed, relief_m=site.relief_m)
        for night in (False, True):
            settings = SceneSettings(
                seed=site.seed + 1000 * night,
                count=dates,
                night=night,
                cover=site.cover,
                swath=False,
                emissivity_error=DEFAULT_EMISSIVITY_ERROR,
            )
            ground = make_ground(elevation, settings)
            static = ground_dataset(elevation, ground)
            terrain = None
            for number, date in enumerate(simulate_dates(elevation, settings, ground)):
                scene = date.merge(static, compat="override", join="override")
                if terrain is None:
                    terrain = terrain_of(scene).compute(scheduler="synchronous")
                prior = number % 2 == 0
                yield Granule(
                    site,
                    not night,
                    prior,
                    scene["surface_temperature"].to_numpy()[0],
                    scene["emissivity"].to_numpy(),
                    terrain["sky_view_factor"].to_numpy(),
                    estimates(scene, terrain, bundle, prior=prior),
                )


def estimates(
    scene: xr.Dataset, terrain: xr.Dataset, bundle: Bundle, *, prior: bool
) -> dict[str, Estimate]:
    """Retrieve one date by every method.

    Parameters
    ----------
    scene : Dataset
        A simulated cube of one date.
    terrain : Dataset (y, x)
        Its terrain indices and complexity.
    bundle : Bundle
        The networks.
    prior : bool
        Tell the emissivity prior.

    Returns
    -------
    dict of str to Estimate
        By method.
    """
    cube = scene[list(_INPUTS)]
    if not prior:
        cube = cube.drop_vars(["emissivity_prior", "emissivity_prior_uncertainty"])
    found = {}
    for method in NETWORKS:
        result = retrieve(
            cube, method=method, bundle=bundle, terrain=terrain, clouds="none"
        ).compute(scheduler="synchronous")
        found[method] = Estimate(
            result["surface_temperature"].to_numpy()[0],
            result["emissivity"].to_numpy()[0],
            result["surface_temperature_uncertainty"].to_numpy()[0],
            result["student_weight"].to_numpy()[0],
        )
    return found | _physical(cube, terrain)


def _physical(cube: xr.Dataset, terrain: xr.Dataset) -> dict[str, Estimate]:
    """TES and split window, for flat ground and for the terrain there is.

    The terrain's correction puts ``V Ls + (1 - V) La`` in place of the sky, with the mean
    surface-leaving radiance of the neighbourhood for La.
    """
    told = {name: cube[name].to_numpy()[0] for name in ("water_vapor", "air_temperature")}
    view = np.full_like(told["water_vapor"], float(cube["view_zenith"].to_numpy()[0]))
    pressure = surface_pressure_from_elevation(cube["elevation"].to_numpy())
    transmittance, path, sky = band_atmosphere(
        told["water_vapor"], told["air_temperature"], pressure, view
    )
    radiance = sensor.dn_to_radiance(np.moveaxis(cube["tir"].to_numpy()[0], 0, -1))
    leaving = surface_leaving_radiance(radiance, transmittance, path)
    sky_view = terrain["sky_view_factor"].to_numpy()[..., np.newaxis]
    hemisphere = sky_view * sky + (1 - sky_view) * neighbourhood_radiance(leaving)
    prior = None
    if "emissivity_prior" in cube:
        prior = np.moveaxis(cube["emissivity_prior"].to_numpy(), 0, -1).astype(np.float64)
    found = {}
    for label, above in (("", sky), (", terrain", hemisphere)):
        temperature, emissivity = tes(leaving, above)
        found[f"TES{label}"] = Estimate(temperature, np.moveaxis(emissivity, -1, 0))
        assumed = np.float32(0.97) if prior is None else prior.astype(np.float32)
        flat = leaving - (1 - assumed) * (above - sky)
        seen = sensor.radiance_to_brightness_temperature(transmittance * flat + path)
        split: Any = split_window(
            seen.astype(np.float64),
            water_vapor=told["water_vapor"].astype(np.float64),
            emissivity=prior,
            view_zenith=view.astype(np.float64),
        )
        found[f"split window{label}"] = Estimate(np.asarray(split, np.float32), None)
    return found
