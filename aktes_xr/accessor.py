"""``Dataset.aktes``: the public functions, bound to a cube. No logic lives here.

Each method is one call of the function it is named after, with that function's signature less its
first argument, so that editors complete it. The functions are imported when they are called:
registering the accessor costs nothing beyond xarray.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

if TYPE_CHECKING:
    from aktes_xr.jobs.plan import Plan
    from aktes_xr.models import Bundle
    from aktes_xr.retrieval.block import Method
    from aktes_xr.terrain.indices import Rechunk

__all__ = ["AktesAccessor"]


@xr.register_dataset_accessor("aktes")  # type: ignore[no-untyped-call]
class AktesAccessor:
    """Land-surface temperature and emissivity of an ASTER cube.

    Parameters
    ----------
    ds : Dataset
        A cube: ``tir`` (time, band, y, x) with units and a projected CRS; see `aktes_xr.cube`.
    """

    def __init__(self, ds: xr.Dataset) -> None:
        self._ds = ds

    def radiance(self) -> xr.DataArray:
        """At-sensor radiance, W m-2 sr-1 um-1: `aktes_xr.cube.calibration.radiance`."""
        from aktes_xr.cube.calibration import radiance

        return radiance(self._ds)

    def brightness_temperature(self) -> xr.DataArray:
        """Brightness temperature, K: `aktes_xr.cube.calibration.brightness_temperature`."""
        from aktes_xr.cube.calibration import brightness_temperature

        return brightness_temperature(self._ds)

    def terrain(
        self,
        *,
        azimuths: int = 32,
        radius_m: float = 10_000.0,
        window_m: float = 1_000.0,
        rechunk: Rechunk = None,
    ) -> xr.Dataset:
        """Terrain indices of the cube's elevation: `aktes_xr.terrain.terrain_indices`."""
        from aktes_xr.terrain import terrain_indices

        return terrain_indices(
            self._ds["elevation"],
            azimuths=azimuths,
            radius_m=radius_m,
            window_m=window_m,
            rechunk=rechunk,
        )

    def retrieve(
        self,
        *,
        method: Method = "fusion",
        bundle: str | Bundle = "default",
        terrain: xr.Dataset | None = None,
    ) -> xr.Dataset:
        """Surface temperature and emissivity, lazily: `aktes_xr.retrieve`."""
        from aktes_xr.retrieval import retrieve

        return retrieve(self._ds, method=method, bundle=bundle, terrain=terrain)

    def plan(
        self,
        *,
        method: Method = "fusion",
        bundle: str | Bundle = "default",
        terrain: xr.Dataset | None = None,
        workers: int | None = None,
        memory: int | str | None = None,
    ) -> Plan:
        """Project what a retrieval will take, before it runs: `aktes_xr.jobs.plan.plan`."""
        from aktes_xr.jobs.plan import plan

        return plan(
            self._ds, method=method, bundle=bundle, terrain=terrain, workers=workers, memory=memory
        )
