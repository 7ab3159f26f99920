"""The main job end to end on simulated granules: STAC item to Zarr store, beside the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr
from dask.base import compute

from aktes_xr import report
from aktes_xr.jobs import with_ancillaries
from aktes_xr.learn.metrics import scores
from aktes_xr.progress import watch
from aktes_xr.retrieval_block import METHODS, Method
from aktes_xr.retrieval_fields import terrain_of
from aktes_xr.retrieve import retrieve
from aktes_xr.simulate import write_scene
from aktes_xr.stac import open_stac
from aktes_xr.store import write_result

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["DemoSettings", "MethodScore", "SceneOutcome", "print_demo", "run_demo"]

_SHIPPED_METHOD: Method = "fusion"
_COLUMNS = (
    "method",
    "MAE (K)",
    "bias (K)",
    "RMSE (K)",
    "PCC",
    "inside 68 %",
    "inside 95 %",
    "emissivity MAE",
)
_SCORED = ("surface_temperature", "surface_temperature_uncertainty", "emissivity")


@dataclass(frozen=True)
class DemoSettings:
    """What the demo simulates: reliefs, (rows, columns) of 90 m pixels, and the seed."""

    terrains: tuple[str, ...] = ("jacksboro", "alpine")
    shape: tuple[int, int] = (700, 830)
    seed: int = 0


@dataclass(frozen=True)
class MethodScore:
    """How far one method is from the truth; coverages are None where it states no uncertainty."""

    method: str
    pixels: int
    mae_k: float
    bias_k: float
    rmse_k: float
    pcc: float
    inside_68: float | None
    inside_95: float | None
    emissivity_mae: float


@dataclass(frozen=True)
class SceneOutcome:
    """One scene of the demo: its errors per method and what was written."""

    terrain: str
    scores: tuple[MethodScore, ...]
    store: str
    picture: str
    page: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain types for JSON."""
        return asdict(self)


def run_demo(output: Path, settings: DemoSettings, *, console: Console) -> tuple[SceneOutcome, ...]:
    """Simulate granules, retrieve them by every method, and compare them with their truth.

    Parameters
    ----------
    output : Path
        Directory; each scene gets its own below it: item, COG, elevation, truth, the result as
        ``result.zarr``, ``quicklook.png`` and ``report.html``.
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
    """Print a table of errors for each scene, and where its files are."""
    from rich import box
    from rich.table import Table

    for outcome in outcomes:
        title = f"{outcome.terrain}: retrieved against true surface temperature"
        grid = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
        for number, column in enumerate(_COLUMNS):
            grid.add_column(column, justify="left" if number == 0 else "right")
        for score in outcome.scores:
            grid.add_row(*_cells(score))
        console.print(grid)
        for what, where in (
            ("store", outcome.store),
            ("map", outcome.picture),
            ("report", outcome.page),
        ):
            console.print(f"  {what:<7}{where}", markup=False, highlight=False)


def _run_scene(
    folder: Path, terrain: str, *, settings: DemoSettings, console: Console
) -> SceneOutcome:
    with watch(f"{terrain}: simulate", console):
        items = write_scene(folder, terrain=terrain, shape=settings.shape, seed=settings.seed)
    truth = _open_zarr(folder / "truth.zarr")
    ds = open_stac(items, like=truth, dem=folder / "dem.tif")
    ds = with_ancillaries(ds, str(folder / "ancillary.zarr"))
    with watch(f"{terrain}: terrain", console):
        indices = terrain_of(ds).compute()
    results = {method: retrieve(ds, method=method, terrain=indices) for method in METHODS}
    store = folder / "result.zarr"
    with watch(f"{terrain}: retrieve ({_SHIPPED_METHOD}) and store", console):
        write_result(results[_SHIPPED_METHOD], store, overwrite=True)
    with watch(f"{terrain}: compare {len(METHODS)} methods", console):
        wanted = {name: ds[[v for v in _SCORED if v in ds]] for name, ds in results.items()}
        (found,) = compute(wanted)  # type: ignore[no-untyped-call]
    rows = tuple(_score(method, result, truth) for method, result in found.items())
    picture, page = folder / "quicklook.png", folder / "report.html"
    result = _open_zarr(store)
    title = f"Simulated ASTER granule over {terrain} terrain, {_SHIPPED_METHOD} of the networks"
    figure = report.quicklook(result, truth, title=title)
    figure.savefig(picture, dpi=120)
    text = report.page(
        title,
        tables={"Errors against the simulated truth": (_COLUMNS, [_cells(row) for row in rows])},
        figures={"Temperature, its error, and what it depends on": figure},
        provenance=_provenance(result.attrs),
    )
    report.write_page(page, text)
    return SceneOutcome(terrain, rows, str(store), str(picture), str(page))


def _open_zarr(path: Path) -> xr.Dataset:
    ds: xr.Dataset = xr.open_zarr(path, consolidated=False, decode_coords="all")
    return ds


def _score(method: str, result: xr.Dataset, truth: xr.Dataset) -> MethodScore:
    sigma = result.get("surface_temperature_uncertainty")
    if sigma is not None and not bool(sigma.notnull().any()):
        sigma = None
    temperature = scores(result["surface_temperature"], truth["surface_temperature"], sigma=sigma)
    emissivity = scores(result["emissivity"], truth["emissivity"])
    return MethodScore(
        method=method,
        pixels=temperature.n,
        mae_k=temperature.mae,
        bias_k=temperature.bias,
        rmse_k=temperature.rmse,
        pcc=temperature.pcc,
        inside_68=temperature.coverage68 if sigma is not None else None,
        inside_95=temperature.coverage95 if sigma is not None else None,
        emissivity_mae=emissivity.mae,
    )


def _cells(score: MethodScore) -> list[str]:
    inside = [
        "none stated" if share is None else f"{100 * share:.0f} %"
        for share in (score.inside_68, score.inside_95)
    ]
    return [
        score.method,
        f"{score.mae_k:.2f}",
        f"{score.bias_k:+.2f}",
        f"{score.rmse_k:.2f}",
        f"{score.pcc:.4f}",
        *inside,
        f"{score.emissivity_mae:.4f}",
    ]


def _provenance(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        str(name): value for name, value in attrs.items() if isinstance(value, str | int | float)
    }
