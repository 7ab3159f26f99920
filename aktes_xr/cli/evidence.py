"""The commands that show what a result is worth: ``validate`` and ``report``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aktes_xr.cli.console import answer, print_json, stderr, stdout
from aktes_xr.cli.options import JsonFlag, ResultArgument, TruthOption
from aktes_xr.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from aktes_xr.validation import Comparison, Selection, SiteMatch

__all__ = ["report", "validate"]


def validate(
    result: ResultArgument,
    truth: Annotated[
        list[Path],
        typer.Argument(
            exists=True,
            help="What to compare with: a Zarr store; rasters of temperature (AST_08, ECOSTRESS, "
            "MOD21, Landsat ST, any GeoTIFF in kelvin) or emissivity (AST_05); or stations' files "
            "(SURFRAD, BSRN, CSV).",
        ),
    ],
    scale: Annotated[
        float | None,
        typer.Option(help="Kelvin per unit of a raster; known products need none.", min=0.0),
    ] = None,
    offset: Annotated[float | None, typer.Option(help="Added to a raster, K.")] = None,
    within: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES",
            min=0.0,
            help="How far apart in time; 30 for maps, 5 for stations unless given.",
        ),
    ] = None,
    window: Annotated[
        int, typer.Option(min=1, help="Side of a pixel's or station's surroundings, pixels; odd.")
    ] = 3,
    max_spread: Annotated[
        float | None,
        typer.Option(metavar="K", help="Leave out surroundings that vary by more."),
    ] = None,
    max_uncertainty: Annotated[
        float | None, typer.Option(metavar="K", help="Leave out pixels that state more.")
    ] = None,
    exclude: Annotated[
        str,
        typer.Option(metavar="FLAGS", help="Flags of quality to leave out, by comma; or 'none'."),
    ] = "cloud,saturated",
    emissivity: Annotated[
        float | None,
        typer.Option(help="Broadband, of stations; that of the retrieved bands unless given."),
    ] = None,
    page: Annotated[
        Path | None, typer.Option("--report", help="HTML page to write as well.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Score a result against a truth, a product, another sensor's map, or stations.

    Prints bias, MAE and their robust twins, with 95 % intervals that respect correlation, by
    terrain, water column, day and night and month, and what share of the errors the stated
    uncertainty covers.
    """
    from aktes_xr.store import open_result
    from aktes_xr.validation.pairs import Selection
    from aktes_xr.validation.stations import is_station_file

    stations = [path for path in truth if path.is_file() and is_station_file(path)]
    if stations and len(stations) != len(truth):
        raise InputError("found stations' files and maps together: compare with one kind at a time")
    minutes = within if within is not None else 5.0 if stations else 30.0
    names = [name.strip() for name in exclude.split(",") if name.strip() not in ("", "none")]
    selection = Selection(names, max_uncertainty, max_spread, window, 60.0 * minutes)
    opened = open_result(result)
    if stations:
        found, sites = _at_stations(opened, stations, selection, emissivity)
    else:
        found = [_with_map(opened, path, selection, (scale, offset)) for path in truth]
        sites = ()
    if page is not None:
        from aktes_xr.report import validation_page, write_page

        write_page(page, validation_page(found, sites=sites, result=opened))
    if as_json:
        documents = [one.as_dict() for one in found]
        print_json(documents[0] if len(documents) == 1 else documents)
        return
    for one in found:
        _print_comparison(one)
    _print_sites(sites)
    if page is not None:
        stdout().print(f"report          {page}", markup=False, highlight=False)


def report(
    result: ResultArgument,
    out: Annotated[Path, typer.Option(help="HTML page to write.")] = Path("report.html"),
    truth: TruthOption = None,
    figures: Annotated[
        Path | None,
        typer.Option(help="Folder for the figures on their own, as PNG and as SVG."),
    ] = None,
    dates: Annotated[
        int, typer.Option(min=0, help="How many dates are shown in full; all have a thumbnail.")
    ] = 4,
    as_json: JsonFlag = False,
) -> None:
    """Write one self-contained HTML page: maps, the series, quality, and where it came from."""
    from aktes_xr.report import store_page, write_page
    from aktes_xr.store import open_result
    from aktes_xr.store.reading import read_gaps
    from aktes_xr.validation import open_truth

    opened = open_result(result)
    true = None if truth is None else open_truth(truth, opened)
    gaps = read_gaps(result)
    write_page(out, store_page(opened, truth=true, detailed=dates, figures=figures, gaps=gaps))
    found = {"page": str(out)} | ({} if figures is None else {"figures": str(figures)})
    answer(found, as_json)


def _with_map(
    result: xr.Dataset,
    path: Path,
    selection: Selection,
    units: tuple[float | None, float | None],
) -> Comparison:
    from aktes_xr.validation import compare, open_reference, pair_fields

    reference = open_reference(path, result, scale=units[0], offset=units[1])
    found = compare(pair_fields(result, reference, selection))
    beside = reference.emissivity() if "emissivity" in result else None
    if beside is not None:
        found = replace(found, emissivity=compare(pair_fields(result, beside, selection)))
    return found


def _at_stations(
    result: xr.Dataset, paths: Sequence[Path], selection: Selection, emissivity: float | None
) -> tuple[list[Comparison], tuple[SiteMatch, ...]]:
    from aktes_xr.validation import compare, pair_stations, read_stations

    stations = read_stations(paths)
    pairs, sites = pair_stations(result, stations, selection, emissivity=emissivity)
    return [compare(pairs)], sites


def _print_comparison(found: Comparison) -> None:
    from aktes_xr.validation.comparison import strata_columns, strata_rows

    overall, quantity = found.overall, found.quantity
    lines = {
        "compared with": found.name,
        "quantity": quantity.words,
        "pixels": f"{overall.n:,}",
        quantity.labelled("MAE"): f"{overall.mae:.{quantity.digits}f}",
        quantity.labelled("bias"): f"{overall.bias:+.{quantity.digits}f}",
        quantity.labelled("RMSE"): f"{overall.rmse:.{quantity.digits}f}",
    }
    for name, value in lines.items():
        stdout().print(f"{name:<15} {value}", markup=False, highlight=False)
    _print_table(strata_columns(found), strata_rows(found))
    said = [f"95 % intervals: {found.basis}", *found.notes]
    said += [f"left out: {count:,} {reason}" for reason, count in found.left_out.items()]
    for line in said:
        stderr().print(line, markup=False, highlight=False)
    if found.emissivity is not None:
        _print_comparison(found.emissivity)


def _print_sites(sites: Sequence[SiteMatch]) -> None:
    if not sites:
        return
    columns = ("station", "overpass (UTC)", "retrieved (K)", "measured (K)", "emissivity", "pixels")
    _print_table(
        columns,
        [
            (
                site.station,
                str(site.time)[:16].replace("T", " "),
                f"{site.retrieved_k:.2f}",
                f"{site.measured_k:.2f}",
                f"{site.emissivity:.3f}",
                str(site.pixels),
            )
            for site in sites
        ],
    )


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table whose cells are never cut: a narrow terminal breaks its lines instead."""
    lines = [[str(cell) for cell in line] for line in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    for line in lines:
        first, *others = (
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        text = "  ".join((first, *others))
        stdout().print(text.rstrip(), markup=False, highlight=False, soft_wrap=True)
