"""``Dataset.aktes``: the public functions, bound to a cube. No logic lives here.

Each method is one call of the function it is named after, with that function's signature less its
first argument, so that editors complete it. The functions are imported when they are called:
registering the accessor costs nothing beyond xarray.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import xarray as xr

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from aktes_xr.jobs.plan import Plan
    from aktes_xr.models import Bundle
    from aktes_xr.retrieval.block import Method
    from aktes_xr.retrieval.clouds import Clouds
    from aktes_xr.retrieval.two_pass import Passes
    from aktes_xr.terrain.indices import Rechunk

__all__ = ["AktesAccessor", "PlotAccessor"]


@xr.register_dataset_accessor("aktes")  # type: ignore[no-untyped-call]
class AktesAccessor:
    """Land-surface temperature and emissivity of an ASTER cube.

    Parameters
    ----------
    ds : Dataset
        A cube: ``tir`` (time, band, y, x) with units and a projected CRS; see `aktes_xr.cube`.

    Examples
    --------
    >>> import aktes_xr  # doctest: +SKIP
    >>> result = ds.aktes.retrieve()  # doctest: +SKIP
    """

    def __init__(self, ds: xr.Dataset) -> None:
        self._ds = ds

    @property
    def plot(self) -> PlotAccessor:
        """Figures of a result: ``ds.aktes.plot.map()``, ``ds.aktes.plot.overview()``."""
        return PlotAccessor(self._ds)

    def radiance(self) -> xr.DataArray:
        """Return the radiance at the sensor, lazily.

        See `aktes_xr.cube.calibration.radiance`.

        Returns
        -------
        DataArray (time, band, y, x) float32, W m-2 sr-1 um-1

        Raises
        ------
        CubeError
            The cube breaks its contract; see `aktes_xr.cube.check`.

        Examples
        --------
        >>> ds.aktes.radiance().sel(band="B13")  # doctest: +SKIP
        """
        from aktes_xr.cube.calibration import radiance

        return radiance(self._ds)

    def brightness_temperature(self) -> xr.DataArray:
        """Return the brightness temperature, lazily.

        See `aktes_xr.cube.calibration.brightness_temperature`.

        Returns
        -------
        DataArray (time, band, y, x) float32, K

        Raises
        ------
        CubeError
            The cube breaks its contract; see `aktes_xr.cube.check`.

        Examples
        --------
        >>> ds.aktes.brightness_temperature().sel(band="B13")  # doctest: +SKIP
        """
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
        """Return the terrain indices of the cube's ``elevation``, lazily.

        See `aktes_xr.terrain.terrain_indices`.

        Parameters
        ----------
        azimuths : int
            Number of directions of the sky view, evenly spaced. An even number, at least 8.
        radius_m : float
            How far a horizon is searched, m.
        window_m : float
            Side of the window of relief and surface incision, m. It is rounded to an odd number of
            pixels.
        rechunk : "auto", optional
            Join chunks that are smaller than the halo. Without it such chunks raise `ChunkError`.

        Returns
        -------
        Dataset (y, x) float32, lazy
            Slope, aspect, roughness, relief, sky view factor and the other indices, with
            ``terrain_flags`` (uint8, CF flag masks).

        Raises
        ------
        MissingVariableError
            The cube has no ``elevation``.
        CRSError, GridError, InputError, ChunkError
            As `aktes_xr.terrain.terrain_indices` raises them.

        Examples
        --------
        >>> terrain = ds.aktes.terrain(radius_m=5_000.0)  # doctest: +SKIP
        """
        from aktes_xr.terrain import terrain_indices

        return terrain_indices(
            self._ds,
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

        Nothing is read or computed before the result is. See `aktes_xr.retrieve`.

        Parameters
        ----------
        method : str
            ``"fusion"`` weighs teacher and student by the terrain. ``"teacher"`` and ``"student"``
            are one network alone. ``"tes"`` and ``"split_window"`` are the physical methods: the
            first needs water vapour and air temperature, the second water vapour.
        bundle : str or Bundle
            The networks: the name of a shipped bundle, a path or URL that every worker reaches, or
            a loaded bundle.
        terrain : Dataset (y, x), optional
            Terrain indices and complexity of this grid. Without them they are computed from the
            cube's ``elevation``. Where a cube has no elevation, ``"fusion"`` is the teacher alone.
        closure : bool, optional
            Put what was retrieved back through the radiance equation, and keep what is left. None:
            its rms over the bands, where water vapour and air temperature are told.
        clouds : str
            ``"auto"`` takes the cube's mask, else the bundle's cloud test where it has one;
            ``"network"`` the test, ``"rules"`` two fixed rules to compare it with,
            ``"none"`` the mask or nothing.
        keep_cloudy : bool
            Keep what was retrieved of pixels under cloud.
        shadows : bool
            Mark the pixels from which terrain hides the sun.
        band_shift : bool
            Find how far each band lies from the others.
        uncertainty_components : bool
            Split the temperature's uncertainty into its parts.
        passes : {1, 2}
            2: a series, each date once more with what the others say of its emissivity.
        first : Dataset, optional
            The first pass from a store, for the second one.

        Returns
        -------
        Dataset (time, band, y, x), lazy
            ``surface_temperature`` (K), ``emissivity`` (1), their standard uncertainties,
            ``student_weight`` (1), ``terrain_complexity`` (K), ``sky_view_factor`` (1),
            ``quality`` and ``conditions`` (uint16, CF flags).

        Raises
        ------
        CubeError
            The cube breaks its contract; see `aktes_xr.cube.check`.
        MissingVariableError
            The method needs a variable that the cube has not.
        BundleError
            The bundle cannot be used.
        InputError
            There is no such method, or the bundle has no student.

        Examples
        --------
        >>> result = ds.aktes.retrieve(method="fusion")  # doctest: +SKIP
        >>> result["surface_temperature"].isel(time=0).plot()  # doctest: +SKIP
        """
        from aktes_xr.retrieval import retrieve

        return retrieve(
            self._ds,
            method=method,
            bundle=bundle,
            terrain=terrain,
            closure=closure,
            clouds=clouds,
            keep_cloudy=keep_cloudy,
            shadows=shadows,
            band_shift=band_shift,
            uncertainty_components=uncertainty_components,
            passes=passes,
            first=first,
        )

    def mask(self, *names: str, max_uncertainty: float | None = None) -> xr.Dataset:
        """Take away the pixels of a result that have a flag or are too uncertain, lazily.

        See `aktes_xr.mask`.

        Parameters
        ----------
        *names : str
            Flags of ``quality`` and ``conditions``.
        max_uncertainty : float, optional, K
            Largest uncertainty of the temperature that is kept.

        Returns
        -------
        Dataset
            Measurements are NaN where a pixel is taken away; the flags stay.

        Raises
        ------
        InputError
            There is no such flag.
        MissingVariableError
            The dataset is no result.

        Examples
        --------
        >>> result.aktes.mask("cloud", "unreadable", max_uncertainty=1.0)  # doctest: +SKIP
        """
        from aktes_xr.cube.selection import mask

        return mask(self._ds, *names, max_uncertainty=max_uncertainty)

    def explore(
        self,
        variable: str = "surface_temperature",
        *,
        time: int = 0,
        band: str | None = None,
        **options: Any,
    ) -> Any:
        """Show a variable of a result or a cube on an interactive map.

        Needs odc-geo and folium: ``pip install 'aktes-xr[explore]'``. See
        `aktes_xr.validation.map.explore`.

        Parameters
        ----------
        variable : str
            What to show.
        time : int
            Index of the date.
        band : str, optional
            Band of a variable that has several; the first unless given.
        **options
            For ``DataArray.odc.explore``: ``map``, ``vmin``, ``vmax``, ``cmap``, ``tiles``, ...

        Returns
        -------
        folium.Map

        Raises
        ------
        DependencyError
            odc-geo or folium is not installed.
        MissingVariableError
            There is no such variable.
        InputError
            There is no such date or band, or the variable has no y and x.

        Examples
        --------
        >>> result.aktes.explore("emissivity", band="B12")  # doctest: +SKIP
        """
        from aktes_xr.validation.map import explore

        return explore(self._ds, variable, time=time, band=band, **options)

    def plan(
        self,
        *,
        method: Method = "fusion",
        bundle: str | Bundle = "default",
        terrain: xr.Dataset | None = None,
        passes: Passes = 1,
        workers: int | None = None,
        memory: int | str | None = None,
    ) -> Plan:
        """Project what a retrieval will take, before it runs.

        Nothing of the retrieval is computed. See `aktes_xr.jobs.plan.plan`.

        Parameters
        ----------
        method, bundle, terrain, passes : str, str or Bundle, Dataset, int
            As for `retrieve`. With a ``terrain`` in memory the pixels that the networks skip are
            counted too.
        workers : int, optional
            Number of workers of one thread each. By default the threads of the current cluster, or
            this machine's processors.
        memory : int or str, optional
            Memory of each worker, bytes or text such as ``"4 GB"``. By default the cluster's or
            this machine's memory, shared by the workers.

        Returns
        -------
        Plan
            Tasks, bytes, memory and time.

        Raises
        ------
        ResourceError
            A chunk does not fit a worker's memory. The message says which chunks or how much memory
            would do.
        InputError
            The number of workers or the memory is not positive, or as `retrieve` raises.

        Examples
        --------
        >>> print(ds.aktes.plan(workers=8, memory="4 GB"))  # doctest: +SKIP
        """
        from aktes_xr.jobs.plan import plan

        return plan(
            self._ds,
            method=method,
            bundle=bundle,
            terrain=terrain,
            passes=passes,
            workers=workers,
            memory=memory,
        )


class PlotAccessor:
    """Figures of a result.

    Parameters
    ----------
    ds : Dataset
        What `aktes_xr.retrieve` returns, computed or not.
    """

    def __init__(self, ds: xr.Dataset) -> None:
        self._ds = ds

    def map(
        self,
        variable: str = "surface_temperature",
        *,
        time: int = 0,
        band: str | None = None,
        limits: tuple[float, float] | None = None,
        title: str | None = None,
    ) -> Figure:
        """Draw one variable of one date, with scale, north and reference system.

        See `aktes_xr.report.map_figure`.

        Parameters
        ----------
        variable : str
            A variable, ``"quality"``, or ``"emissivity_composite"``.
        time : int
            Index of the date.
        band : str, optional
            Of a variable with bands.
        limits : (float, float), optional
            What the ends of the colours stand for.
        title : str, optional
            Above the map; variable and date by default.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        MissingVariableError
            There is no temperature, or no such variable.
        InputError
            The variable needs a band, or there is no such date.

        Examples
        --------
        >>> result.aktes.plot.map().savefig("map.svg")  # doctest: +SKIP
        """
        from aktes_xr.report import map_figure

        return map_figure(self._ds, variable, time=time, band=band, limits=limits, title=title)

    def overview(
        self,
        *,
        time: int = 0,
        variables: Sequence[str] | None = None,
        title: str | None = None,
    ) -> Figure:
        """Draw all that the result knows of one date.

        See `aktes_xr.report.overview`.

        Parameters
        ----------
        time : int
            Index of the date.
        variables : sequence of str, optional
            What to draw instead of all.
        title : str, optional
            Above the figure; the date by default.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        MissingVariableError
            There is no temperature, or no variable that was asked for.
        InputError
            There is no such date.

        Examples
        --------
        >>> result.aktes.plot.overview()  # doctest: +SKIP
        """
        from aktes_xr.report import overview

        return overview(self._ds, time=time, variables=variables, title=title)
