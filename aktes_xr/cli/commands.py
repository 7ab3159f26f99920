"""The ``aktes`` command: each command builds its objects and calls one public function.

Results a script reads go to stdout (``--json``); progress, warnings and errors go to stderr.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from aktes_xr.cli import evidence
from aktes_xr.cli.console import (
    EXIT_CODES,
    FAILED,
    OK,
    PARTIAL,
    CommandGroup,
    answer,
    describe,
    parse_bbox,
    parse_resolution,
    parse_shape,
    print_json,
    stderr,
    stdout,
)
from aktes_xr.cli.export import export
from aktes_xr.cli.options import (
    AcceptWorse,
    Ancillary,
    BandShift,
    Box,
    BundleOption,
    Closure,
    CloudMask,
    CloudMaskFolder,
    CloudsChoice,
    CloudsOption,
    CrsOption,
    Elevation,
    Encoding,
    EncodingOption,
    ItemsArgument,
    JsonFlag,
    KeepCloudy,
    Method,
    MethodOption,
    Overwrite,
    PassesOption,
    Period,
    ResolutionOption,
    Scheduler,
    Seed,
    Shape,
    Source,
    StoreOption,
    Strict,
    Terrain,
)
from aktes_xr.cli.series import job, run_command, series
from aktes_xr.errors import InputError

if TYPE_CHECKING:
    from aktes_xr.jobs import Outcome
    from aktes_xr.simulate.relief import Terrain as Relief

__all__ = ["app"]

_R = TypeVar("_R")

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Land-surface temperature and emissivity from ASTER thermal imagery.",
    epilog=EXIT_CODES,
)
train = typer.Typer(no_args_is_help=True, help="Train the networks of a bundle.")
app.add_typer(train, name="train")
app.add_typer(job, name="job")
app.add_typer(series, name="series")
app.command("run")(run_command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from aktes_xr.version import __version__

        print(__version__)
        raise typer.Exit(OK)


@app.callback()
def main(
    debug: Annotated[
        bool, typer.Option("--debug", help="Log everything; show tracebacks of expected errors.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Land-surface temperature and emissivity from ASTER thermal imagery."""
    level = logging.DEBUG if debug else logging.WARNING
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("aktes_xr").setLevel(level)


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Directory to write to.")] = Path("demo-output"),
    terrain: Annotated[
        list[Terrain] | None, typer.Option(help="Scenes to make; both unless given.")
    ] = None,
    shape: Shape = "700x830",
    seed: Seed = 0,
    show: Annotated[bool, typer.Option("--open", help="Open the pictures when done.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make a full ASTER granule over real terrain, retrieve it, and compare it with its truth.

    Goes from STAC item and COG to a Zarr store, then prints a table of errors per method and draws
    a map beside the truth.
    """
    from aktes_xr.cli.demo import DemoSettings, print_demo, run_demo

    scenes: tuple[Relief, ...] = tuple(relief.value for relief in terrain or Terrain)
    settings = DemoSettings(terrains=scenes, shape=parse_shape(shape), seed=seed)
    outcomes = run_demo(output, settings, console=stderr())
    if as_json:
        print_json([outcome.as_dict() for outcome in outcomes])
    else:
        print_demo(outcomes, stdout())
    if show:
        for outcome in outcomes:
            typer.launch(outcome.picture)


@app.command()
def simulate(
    path: Annotated[Path, typer.Argument(help="Directory for items, COGs, DEM and truth.")],
    terrain: Annotated[Terrain, typer.Option(help="Relief under the scene.")] = Terrain.jacksboro,
    shape: Shape = "700x830",
    seed: Seed = 0,
    dates: Annotated[int, typer.Option(min=1, help="Number of acquisitions.")] = 1,
    clouds: Annotated[bool, typer.Option("--clouds", help="Put clouds into the scene.")] = False,
    overwrite: Overwrite = False,
    as_json: JsonFlag = False,
) -> None:
    """Write simulated ASTER granules: STAC items, COGs, elevation model and truth."""
    from aktes_xr.simulate import write_scene

    size = parse_shape(shape)
    with _steps("simulate") as say:
        items = write_scene(
            path,
            terrain=terrain.value,
            shape=size,
            seed=seed,
            dates=dates,
            clouds=clouds,
            overwrite=overwrite,
            progress=say,
        )
    answer({"items": [str(item) for item in items]}, as_json)


@app.command("retrieve")
def retrieve_command(
    out: StoreOption,
    items: ItemsArgument = None,
    source: Source = None,
    bbox: Box = None,
    datetime: Period = None,
    dem: Elevation = None,
    ancillary: Ancillary = None,
    cloud_mask: CloudMask = None,
    cloud_mask_folder: CloudMaskFolder = None,
    crs: CrsOption = None,
    resolution: ResolutionOption = "auto",
    method: MethodOption = Method.fusion,
    bundle: BundleOption = "default",
    clouds: CloudsOption = CloudsChoice.auto,
    keep_cloudy: KeepCloudy = False,
    closure: Closure = None,
    band_shift: BandShift = False,
    encoding: EncodingOption = Encoding.float,
    passes: PassesOption = 1,
    strict: Strict = False,
    scheduler: Scheduler = None,
    overwrite: Overwrite = False,
    accept_worse: AcceptWorse = False,
    as_json: JsonFlag = False,
) -> None:
    """Retrieve temperature and emissivity of STAC items into a Zarr store."""
    from aktes_xr.jobs import Request, retrieve_to_store

    request = Request(
        items=tuple(items or ()),
        source=source,
        bbox=parse_bbox(bbox),
        datetime=datetime,
        dem=dem,
        ancillary=tuple(ancillary or ()),
        cloud_mask=tuple(cloud_mask or ()),
        cloud_mask_folder=cloud_mask_folder,
        crs=crs,
        resolution_m=parse_resolution(resolution),
        method=method.value,
        bundle=bundle,
        clouds=clouds.value,
        keep_cloudy=keep_cloudy,
        closure=closure,
        band_shift=band_shift,
        encoding=encoding.value,
        passes=2 if passes == 2 else 1,
        errors="raise" if strict else "nodata",
    )
    _say_licences((*request.ancillary, *request.cloud_mask))
    with _cluster(scheduler) as client:
        watch = _watch("retrieve", client)
        outcome = retrieve_to_store(
            request, out, overwrite=overwrite, accept_worse=accept_worse, watch=watch
        )
    answer(outcome.as_dict() if as_json else {"store": outcome.store}, as_json)
    if not outcome.complete:
        _report_gaps(outcome)
        raise typer.Exit(PARTIAL)


@app.command("plan")
def plan_command(
    items: ItemsArgument = None,
    source: Source = None,
    bbox: Box = None,
    datetime: Period = None,
    dem: Elevation = None,
    ancillary: Ancillary = None,
    cloud_mask: CloudMask = None,
    cloud_mask_folder: CloudMaskFolder = None,
    crs: CrsOption = None,
    resolution: ResolutionOption = "auto",
    method: MethodOption = Method.fusion,
    bundle: BundleOption = "default",
    passes: PassesOption = 1,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Workers of one thread; this machine's processors.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Of each worker, such as '4 GB'.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say what a retrieval will take, without reading a pixel; refuse what cannot fit."""
    from aktes_xr.jobs import Request, open_request
    from aktes_xr.jobs.plan import plan

    request = Request(
        items=tuple(items or ()),
        source=source,
        bbox=parse_bbox(bbox),
        datetime=datetime,
        dem=dem,
        ancillary=tuple(ancillary or ()),
        cloud_mask=tuple(cloud_mask or ()),
        cloud_mask_folder=cloud_mask_folder,
        crs=crs,
        resolution_m=parse_resolution(resolution),
    )
    cube = open_request(request)
    found = plan(
        cube,
        method=method.value,
        bundle=bundle,
        passes=2 if passes == 2 else 1,
        workers=workers,
        memory=memory,
    )
    answer(found.as_dict() if as_json else dict(found.lines()), as_json)


@app.command("terrain")
def terrain_command(
    dem: Annotated[
        Path, typer.Argument(exists=True, help="Elevation model, m, in a projected CRS.")
    ],
    out: Annotated[Path, typer.Option(help="Zarr store to write.")],
    azimuths: Annotated[
        int, typer.Option(min=8, help="Directions of the horizon search, even.")
    ] = 32,
    radius: Annotated[float, typer.Option(min=0.0, help="Reach of the search, m.")] = 10_000.0,
    overwrite: Overwrite = False,
    as_json: JsonFlag = False,
) -> None:
    """Compute terrain indices, sky view and complexity of an elevation model."""
    from aktes_xr.cube.raster import open_band
    from aktes_xr.store import write_result
    from aktes_xr.terrain import terrain_complexity, terrain_indices

    elevation = open_band(dem, holds="elevation in metres", chunks={})
    indices = terrain_indices(elevation, azimuths=azimuths, radius_m=radius, rechunk="auto")
    indices = indices.assign(terrain_complexity(indices).data_vars)
    with _watch("terrain"):
        write_result(indices, out, overwrite=overwrite)
    answer({"store": str(out), "variables": sorted(map(str, indices.data_vars))}, as_json)


@train.command()
def teacher(
    out: Annotated[
        Path, typer.Option(help="Directory of the run; the same directory resumes it.")
    ] = Path("runs/teacher"),
    recipe: Annotated[str, typer.Option(help="'quick', 'release' or a TOML file.")] = "release",
    as_json: JsonFlag = False,
) -> None:
    """Search and train the teacher with AutoKeras on simulated data, and write its bundle."""
    from aktes_xr.learn.recipe import load_recipe
    from aktes_xr.learn.teacher import train_teacher

    settings = load_recipe(recipe)
    with _steps("train teacher") as say:
        bundle = train_teacher(settings, out, progress=say)
    answer({"bundle": str(bundle)}, as_json)


@train.command()
def reference(
    bundle: Annotated[str, typer.Option(help="Bundle with the teacher.")] = "default",
    out: Annotated[
        Path, typer.Option(help="Directory of the run; the same directory resumes it.")
    ] = Path("runs/reference"),
    recipe: Annotated[str, typer.Option(help="The teacher's recipe.")] = "release",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Fewer than the recipe's, if time is short.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Train a network eight times the teacher's size on the same data, to be judged beside it."""
    from aktes_xr.bench.reference import train_reference
    from aktes_xr.learn.recipe import load_recipe

    settings = load_recipe(recipe)
    with _steps("train reference") as say:
        written = train_reference(settings, out, bundle=bundle, epochs=epochs, progress=say)
    answer({"bundle": str(written)}, as_json)


def _recipe_named(name: str, recipes: Mapping[str, _R]) -> _R:
    if name not in recipes:
        raise InputError(f"found --recipe {name!r}, expected one of {', '.join(recipes)}")
    return recipes[name]


@train.command()
def clouds(
    bundle: Annotated[str, typer.Option(help="Bundle whose networks are kept.")] = "default",
    out: Annotated[Path, typer.Option(help="Bundle to write.")] = Path("runs/clouds"),
    recipe: Annotated[str, typer.Option(help="'quick' or 'release'.")] = "release",
    of: Annotated[
        str | None, typer.Option(help="Take over this bundle's cloud test instead of training.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: JsonFlag = False,
) -> None:
    """Train the cloud test on simulated clouds, and write the bundle again with it."""
    from aktes_xr.learn.clouds import CLOUD_RECIPES, with_cloud_test

    named = _recipe_named(recipe, CLOUD_RECIPES)
    written = with_cloud_test(
        out,
        bundle=bundle,
        recipe=named if of is None else None,
        of=of,
        overwrite=overwrite,
        progress=stderr().print,
    )
    answer({"bundle": str(written)}, as_json)


@train.command()
def domain(
    bundle: Annotated[str, typer.Option(help="Bundle whose networks are kept.")] = "default",
    out: Annotated[Path, typer.Option(help="Bundle to write.")] = Path("runs/domain"),
    recipe: Annotated[str, typer.Option(help="'quick' or 'release'.")] = "release",
    of: Annotated[
        str | None, typer.Option(help="Take over this bundle's domain instead of training.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: JsonFlag = False,
) -> None:
    """Train what a measurement can look like, and write the bundle again with it."""
    from aktes_xr.learn.domain import DOMAIN_RECIPES, with_domain

    named = _recipe_named(recipe, DOMAIN_RECIPES)
    written = with_domain(
        out,
        bundle=bundle,
        recipe=named if of is None else None,
        of=of,
        overwrite=overwrite,
        progress=stderr().print,
    )
    answer({"bundle": str(written)}, as_json)


@train.command()
def calibration(
    bundle: Annotated[str, typer.Option(help="Bundle with teacher and student.")] = "default",
    out: Annotated[Path, typer.Option(help="Directory; the bundle goes to DIR/bundle.")] = Path(
        "runs/calibration"
    ),
    recipe: Annotated[str, typer.Option(help="'quick', 'release' or a TOML file.")] = "release",
    as_json: JsonFlag = False,
) -> None:
    """Fit a bundle's uncertainties and fusion anew, without training any network."""
    from aktes_xr.learn.calibration import recalibrate
    from aktes_xr.learn.recipe import load_recipe

    settings = load_recipe(recipe)
    with _steps("train calibration") as say:
        written = recalibrate(settings, out, bundle=bundle, progress=say)
    answer({"bundle": str(written)}, as_json)


@train.command()
def card(
    bundle: Annotated[str, typer.Option(help="Bundle whose networks are kept.")] = "default",
    out: Annotated[
        Path | None, typer.Option(help="Bundle to write, with its card made anew.")
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the search and the losses, PNG and SVG."),
    ] = None,
    clouds: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            help="What 'aktes bench clouds --json' wrote: how reliable the probability of cloud "
            "is, kept in the bundle.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: JsonFlag = False,
) -> None:
    """Make a bundle's model card anew of the scores it holds, and draw how it was trained."""
    from aktes_xr.learn.cloud_reliability import CloudReliability
    from aktes_xr.learn.rewriting import draw_training, rewrite_card

    if out is None and figures is None:
        raise InputError("found nothing to write; give --out DIR, --figures DIR or both")
    if clouds is not None and out is None:
        raise InputError("found --clouds without --out: its figures are kept in the bundle written")
    written: dict[str, Any] = {}
    if out is not None:
        judged = None if clouds is None else CloudReliability.from_benchmark(_document(clouds))
        found = rewrite_card(bundle, out, reliability=judged, overwrite=overwrite)
        written["bundle"] = str(found)
    if figures is not None:
        written["figures"] = [str(path) for path in draw_training(bundle, figures)]
    answer(written, as_json)


@app.command()
def distil(
    bundle: Annotated[str, typer.Option(help="Bundle whose teacher is distilled.")] = "default",
    out: Annotated[Path, typer.Option(help="Directory of the run.")] = Path("runs/student"),
    recipe: Annotated[str, typer.Option(help="'quick', 'release' or a TOML file.")] = "release",
    region: Annotated[
        Path | None,
        typer.Option(help="TOML file of a region (or alpine_range, arid_range): its own student."),
    ] = None,
    dem: Annotated[
        Path | None, typer.Option(exists=True, help="Elevation model of the region, 90 m.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Your own pixels: CSV, Parquet or Zarr (learn.labels).")
    ] = None,
    ablation: Annotated[
        bool, typer.Option("--ablation", help="Compare ways to distil instead; in minutes.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Distil a student that sees the terrain, calibrate the fusion, and write the bundle."""
    from aktes_xr.bench.ablation import ablate
    from aktes_xr.learn.labels import read_labels
    from aktes_xr.learn.recipe import load_recipe
    from aktes_xr.learn.region import load_region
    from aktes_xr.learn.student import distil as distil_student

    if dem is not None and region is None:
        raise InputError("found --dem without --region: a region file says where the student holds")
    settings = load_recipe(recipe)
    place = None if region is None else load_region(region, dem=dem)
    pixels = None if labels is None else read_labels(labels)
    with _steps("distil") as say:
        if ablation:
            study = ablate(settings, out, bundle=bundle, region=place, progress=say)
        else:
            written = distil_student(
                settings, out, bundle=bundle, region=place, labels=pixels, progress=say
            )
    if ablation:
        stdout().print(study.text(), markup=False, highlight=False)
        answer({"table": str(study.path)}, as_json)
        return
    answer({"bundle": str(written)}, as_json)


app.command("validate")(evidence.validate)
app.command("report")(evidence.report)


app.command("export")(export)


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="Benchmark; 'list' prints their names.")],
    quick: Annotated[bool, typer.Option("--quick", help="Finish within two minutes.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures to this file.")
    ] = None,
    bundle: Annotated[
        str | None, typer.Option(help="Of accuracy, worlds, clouds and domain: score this bundle.")
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="Of accuracy: compare with this bundle of 'aktes train reference'."),
    ] = None,
    figure: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Of scale and realism: draw them (PNG, SVG)."),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(
            help="Measure one part alone. Of network: speed, bits or emulated; of scale: graph, "
            "scheduler, retrieval, granules, memory, workers, identity, choices or report; of "
            "worlds: first or second; of series: kills, races, second, soak or two-pass; of "
            "faults: one area."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Of realism: measured surface temperature (GeoTIFF, K)."),
    ] = None,
) -> None:
    """Measure one set of claims; the exit code is 1 where a check does not hold."""
    from aktes_xr.bench.checks import available, print_result, run_benchmark, to_json
    from aktes_xr.documents import write_json

    if name == "list":
        print("\n".join(available()))
        return
    chosen = {
        "bundle": bundle,
        "reference": reference,
        "figure": figure,
        "part": part,
        "data": data,
    }
    options = {key: value for key, value in chosen.items() if value is not None}
    result = run_benchmark(name, quick=quick, **options)
    print_result(result, stdout())
    if json_file is not None:
        write_json(json_file, to_json(result))
    if not result.holds:
        raise typer.Exit(FAILED)


@app.command("compile")
def compile_command(as_json: JsonFlag = False) -> None:
    """Compile all kernels now and keep them, so that later commands and workers start at once."""
    from aktes_xr.jobs.kernels import compile_kernels

    with _watch("compile"):
        count, place = compile_kernels()
    if as_json:
        print_json({"kernels": count, "place": place})
    else:
        stdout().print(f"{count} kernels in {place}", markup=False, highlight=False)


@app.command()
def info(
    store: Annotated[
        str | None,
        typer.Argument(help="A result instead: what flags its pixels have.", show_default=False),
    ] = None,
    bundle: BundleOption = "default",
    as_json: JsonFlag = False,
) -> None:
    """Print versions, the machine, the sensor's bands and what the bundle holds; or count flags."""
    if store is not None:
        _count_flags(store, as_json=as_json)
        return
    from aktes_xr.bench.checks import machine
    from aktes_xr.models import load_bundle
    from aktes_xr.sensor import BANDS, UNIT_CONVERSION, WAVELENGTH_UM

    bands = {
        name: {"wavelength_um": round(float(wavelength), 3), "unit_conversion": float(gain)}
        for name, wavelength, gain in zip(BANDS, WAVELENGTH_UM, UNIT_CONVERSION, strict=True)
    }
    found = {"machine": machine(), "bands": bands, "bundle": load_bundle(bundle).summary()}
    if as_json:
        print_json(found)
        return
    for heading, entries in found.items():
        stdout().print(f"[bold]{heading}[/bold]")
        for key, value in entries.items():
            for line in describe(value):
                stdout().print(f"  {key:<16} {line}", markup=False, highlight=False)
                key = ""


def _count_flags(store: str, *, as_json: bool) -> None:
    """Print how many pixels of a result have each flag."""
    from aktes_xr.cube.selection import count_flags
    from aktes_xr.store import open_result

    counts = count_flags(open_result(store))
    pixels = counts.pop("pixels")
    if as_json:
        print_json({"pixels": pixels, "flags": counts})
        return
    stdout().print(f"{'pixels':<24} {pixels}", highlight=False)
    for name, count in counts.items():
        share = f"{count / max(pixels, 1):8.2%}"
        stdout().print(f"{name:<24} {count:>10} {share}", highlight=False)


def _document(path: Path) -> Any:
    """Read a benchmark's JSON."""
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(
            f"{path.name} is no JSON ({error}): expected what 'aktes bench NAME --json FILE' writes"
        ) from None


@contextlib.contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    """Client of a Dask cluster, or None for this machine's own threads."""
    if address is None:
        yield None
        return
    from aktes_xr.jobs.cluster import connected

    with connected(address) as client:
        yield client


def _say_licences(names: tuple[str, ...]) -> None:
    """Print once the licence and the citation of each shipped source of what is told."""
    from aktes_xr.stac import sources

    for name in dict.fromkeys(names):
        source = sources().get(name)
        if source is not None:
            line = f"{source.title}: {source.licence}. {source.citation}"
            stderr().print(line, markup=False, highlight=False)


def _report_gaps(outcome: Outcome) -> None:
    lines = [f"left out {entry['id']}: {entry['reason']}" for entry in outcome.skipped]
    lines += [
        f"no temperature anywhere: {date.item_id} ({date.time})"
        for date in outcome.dates
        if date.valid_share == 0.0
    ]
    lines += [
        f"could not be read in {date.unreadable_share:.2%} of the pixels: {date.item_id}"
        for date in outcome.dates
        if date.unreadable_share > 0.0
    ]
    for line in lines:
        stderr().print(line, style="yellow", markup=False, highlight=False)


@contextlib.contextmanager
def _watch(label: str, client: Any = None) -> Iterator[None]:
    from aktes_xr.cli.progress import watch

    with watch(label, stderr(), client=client):
        yield


@contextlib.contextmanager
def _steps(label: str) -> Iterator[Callable[[str], None]]:
    from aktes_xr.cli.progress import steps

    with steps(label, stderr()) as say:
        yield say
