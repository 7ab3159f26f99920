"""The main job end to end on simulated granules: STAC item to Zarr store, beside the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from dask.base import compute

from aktes_xr import report
from aktes_xr.ancillaries import add_ancillaries
from aktes_xr.cli.progress import watch
from aktes_xr.retrieval import retrieve
from aktes_xr.retrieval.block import METHODS, Method
from aktes_xr.retrieval.inputs import terrain_of
from aktes_xr.simulate import write_scene
from aktes_xr.simulate.landcover import WATER
from aktes_xr.simulate.relief import Terrain
from aktes_xr.stac import open_stac
from aktes_xr.store import write_result
from aktes_xr.terrain.complexity import CLASSES
from aktes_xr.validation.comparison import COLUMNS, ValidationScore, cells, validate

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["DemoSettings", "SceneOutcome", "print_demo", "run_demo"]

_SHIPPED_METHOD: Method = "fusion"
# A class of fewer pixels than this share of the scene says nothing about a method.
_SMALLEST_SHARE = 0.001
_SCORED = ("surface_temperature", "surface_temperature_uncertainty", "emissivity")


@dataclass(frozen=True)
class DemoSettings:
    """What the demo simulates: reliefs, (rows, columns) of 90 m pixels, and the seed."""

    terrains: tuple[Terrain, ...] = ("jacksboro", "alpine")
    shape: tuple[int, int] = (700, 830)
    seed: int = 0


@dataclass(frozen=True)
class SceneOutcome:
    """One scene of the demo: errors per method, overall and by terrain class, and what was written.

    ``mae_by_class`` holds, for each method, the mean absolute error (K) in each terrain class that
    covers at least a thousandth of the scene.
    """

    terrain: str
    scores: tuple[ValidationScore, ...]
    mae_by_class: dict[str, dict[str, float]]
    store: str
    picture: str
    page: str
    overview: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain types for JSON."""
        return asdict(self)


def run_demo(output: Path, settings: DemoSettings, *, console: Console) -> tuple[SceneOutcome, ...]:
    """Simulate granules, retrieve them by every method, and compare them with their truth.

    Parameters
    ----------
    output : Path
        Directory; each scene gets its own below it: item, COG, elevation, truth, the result as
        ``result.zarr``, ``quicklook.png``, ``overview.png`` and ``report.html``. Each scene has a
        cloud and water, whose masks are given to the retrieval; what lies in cloud is not scored.
    settings : DemoSettings
    console : rich.console.Console
        Where progress is shown.

    Returns
    -------
    tuple of SceneOutcome
        One for each of ``settings.terrains``.
    """
    return tuple(
        _run_scene(output / terrain, terrain, settings=settings, console=console)
        for terrain in settings.terrains
    )


def print_demo(outcomes: Sequence[SceneOutcome], console: Console) -> None:
    """Print a table of errors for each scene, and where its files are.

    Parameters
    ----------
    outcomes : sequence of SceneOutcome
        What the demonstration found, scene by scene.
    console : Console
        Where to print.
    """
    from rich import box
    from rich.table import Table

    for outcome in outcomes:
        for title, (columns, rows) in _tables(outcome).items():
            grid = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
            for number, column in enumerate(columns):
                grid.add_column(column, justify="left" if number == 0 else "right")
            for row in rows:
                grid.add_row(*row)
            console.print(grid)
        for what, where in (
            ("store", outcome.store),
            ("map", outcome.picture),
            ("all", outcome.overview),
            ("report", outcome.page),
        ):
            console.print(f"  {what:<7}{where}", markup=False, highlight=False)
        console.print()


def _run_scene(
    folder: Path, terrain: Terrain, *, settings: DemoSettings, console: Console
) -> SceneOutcome:
    with watch(f"{terrain}: simulate", console):
        items = write_scene(
            folder,
            terrain=terrain,
            shape=settings.shape,
            seed=settings.seed,
            clouds=True,
            overwrite=True,
        )
    truth = _open_zarr(folder / "truth.zarr")
    ds = open_stac(items, like=truth, dem=folder / "dem.tif")
    ds = add_ancillaries(ds, folder / "ancillary.zarr")
    ds = _masked(ds, truth)
    with watch(f"{terrain}: terrain", console):
        indices = terrain_of(ds).compute()
    results = {method: retrieve(ds, method=method, terrain=indices) for method in METHODS}
    store = folder / "result.zarr"
    with watch(f"{terrain}: retrieve ({_SHIPPED_METHOD}) and store", console):
        write_result(results[_SHIPPED_METHOD], store, overwrite=True)
    with watch(f"{terrain}: compare {len(METHODS)} methods", console):
        wanted = {name: ds[[v for v in _SCORED if v in ds]] for name, ds in results.items()}
        (found,) = compute(wanted)
    outcome = SceneOutcome(
        terrain=terrain,
        scores=tuple(
            validate(one, truth, name=method, where=~ds["cloud"]) for method, one in found.items()
        ),
        mae_by_class=_mae_by_class(found, truth, indices, ~ds["cloud"]),
        store=str(store),
        picture=str(folder / "quicklook.png"),
        page=str(folder / "report.html"),
        overview=str(folder / "overview.png"),
    )
    _illustrate(outcome, truth)
    return outcome


def _illustrate(outcome: SceneOutcome, truth: xr.Dataset) -> None:
    """Draw the map and write the page of a scene."""
    result = _open_zarr(Path(outcome.store))
    title = f"Simulated ASTER granule over {outcome.terrain} terrain ({_SHIPPED_METHOD})"
    figure = report.quicklook(result, truth, title=title)
    figure.savefig(outcome.picture, dpi=120)
    everything = report.overview(result, title=title)
    everything.savefig(outcome.overview, dpi=120)
    text = report.page(
        title,
        tables=_tables(outcome),
        figures={
            "Temperature, its error, which network retrieved it, and what that depends on": figure,
            "All that the result says of the scene: uncertainty, quality with cloud and water, who "
            "retrieved it, terrain, and emissivity as a composite": everything,
        },
        provenance=report.provenance(result),
    )
    report.write_page(outcome.page, text)


def _open_zarr(path: Path) -> xr.Dataset:
    ds: xr.Dataset = xr.open_zarr(path, consolidated=False, decode_coords="all")
    return ds


def _mae_by_class(
    results: Mapping[Method, xr.Dataset],
    truth: xr.Dataset,
    indices: xr.Dataset,
    clear: xr.DataArray,
) -> dict[str, dict[str, float]]:
    # Below a cloud there is nothing to compare.
    members = {
        CLASSES[number]: clear & (indices["terrain_class"] == number)
        for number in range(len(CLASSES))
    }
    return {
        method: {
            name: validate(result, truth, where=where).mae_k
            for name, where in members.items()
            if float((where & result["surface_temperature"].notnull()).mean()) >= _SMALLEST_SHARE
        }
        for method, result in results.items()
    }


def _masked(ds: xr.Dataset, truth: xr.Dataset) -> xr.Dataset:
    """Give the cube masks of cloud and water, as a user would from another source."""
    image = ("time", "y", "x")
    water = np.broadcast_to(truth["surface_class"].to_numpy() == WATER, ds["tir"][:, 0].shape)
    return ds.assign(cloud=(image, truth["cloud"].to_numpy()), water=(image, water))


def _tables(outcome: SceneOutcome) -> dict[str, tuple[Sequence[str], list[Sequence[str]]]]:
    """Both tables of a scene, by caption."""
    classes = list(next(iter(outcome.mae_by_class.values())))
    by_class = [
        (method, *(f"{mae:.2f}" for mae in row.values()))
        for method, row in outcome.mae_by_class.items()
    ]
    return {
        f"{outcome.terrain}: retrieved against true surface temperature": (
            COLUMNS,
            [cells(score) for score in outcome.scores],
        ),
        f"{outcome.terrain}: MAE (K) by terrain class": (("", *classes), [*by_class]),
    }
