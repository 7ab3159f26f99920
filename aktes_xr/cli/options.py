"""Options that commands share; each of ``retrieve`` has an environment variable, too."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AcceptWorse",
    "Ancillary",
    "BandShift",
    "Box",
    "BundleOption",
    "CloudMask",
    "CloudMaskFolder",
    "CrsOption",
    "Elevation",
    "Encoding",
    "EncodingOption",
    "ItemsArgument",
    "JsonFlag",
    "Method",
    "MethodOption",
    "Overwrite",
    "PassesOption",
    "Period",
    "ResolutionOption",
    "ResultArgument",
    "Scheduler",
    "Seed",
    "Shape",
    "Source",
    "StoreOption",
    "Strict",
    "Terrain",
    "TruthOption",
]


class Terrain(StrEnum):
    """Relief a simulated scene lies on."""

    jacksboro = "jacksboro"
    alpine = "alpine"


class Method(StrEnum):
    """Retrieval methods, as `aktes_xr.retrieve` names them."""

    fusion = "fusion"
    teacher = "teacher"
    student = "student"
    tes = "tes"
    split_window = "split_window"


class CloudsChoice(StrEnum):
    """Who says where cloud is, as `aktes_xr.retrieve` names it."""

    auto = "auto"
    network = "network"
    rules = "rules"
    none = "none"


class Encoding(StrEnum):
    """How numbers are stored, as `aktes_xr.write_result` names it."""

    float = "float"
    jpl = "jpl"


JsonFlag = Annotated[
    bool, typer.Option("--json", envvar="AKTES_JSON", help="Print the outcome as JSON on stdout.")
]
Shape = Annotated[str, typer.Option(metavar="ROWSxCOLUMNS", help="Pixels of 90 m.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same scene.")]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", envvar="AKTES_OVERWRITE", help="Replace what is at the place."),
]
AcceptWorse = Annotated[
    bool,
    typer.Option(
        "--accept-worse",
        envvar="AKTES_ACCEPT_WORSE",
        help="Replace even a result that is much better than the new.",
    ),
]
ResultArgument = Annotated[
    str,
    typer.Argument(
        help="Zarr store that 'aktes retrieve' wrote: a path, or s3://, gs://, az://.",
        show_default=False,
    ),
]
TruthOption = Annotated[
    Path | None,
    typer.Option(help="Zarr store, or raster of temperature (GeoTIFF, K), to draw beside it."),
]
BundleOption = Annotated[
    str,
    typer.Option(
        envvar="AKTES_BUNDLE",
        help="Model bundle: 'default', a directory, a zip or an fsspec URL.",
    ),
]
StoreOption = Annotated[
    str,
    typer.Option(envvar="AKTES_OUT", help="Zarr store to write: a path, or s3://, gs://, az://."),
]
ItemsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        envvar="AKTES_ITEMS",
        help="STAC items, item collections or catalogues.",
        show_default=False,
    ),
]
Source = Annotated[
    str | None,
    typer.Option(
        envvar="AKTES_SOURCE",
        help="Search here instead: a shipped source, an API's address or a catalogue.",
    ),
]
Box = Annotated[
    str | None, typer.Option(envvar="AKTES_BBOX", metavar="W,S,E,N", help="Area, degrees.")
]
Period = Annotated[
    str | None,
    typer.Option(envvar="AKTES_DATETIME", metavar="PERIOD", help="Searched, e.g. 2004-07/2004-08."),
]
Elevation = Annotated[
    str | None,
    typer.Option(envvar="AKTES_DEM", help="Elevation raster, or a shipped elevation source."),
]
Ancillary = Annotated[
    list[str] | None,
    typer.Option(
        envvar="AKTES_ANCILLARY",
        metavar="SOURCE",
        help="What is known of air and ground: era5, arco-era5, ged, camel, or a Zarr store, "
        "NetCDF or GRIB file or folder of emissivity tiles; may be given several times.",
    ),
]
CloudMask = Annotated[
    list[str] | None,
    typer.Option(
        envvar="AKTES_CLOUD_MASK",
        metavar="PATH|mod35",
        help="MODIS' cloud mask of the same satellite: files or folders of MOD35_L2 granules, or "
        "mod35 to download those of the dates; may be given several times.",
    ),
]
CloudMaskFolder = Annotated[
    str | None,
    typer.Option(
        envvar="AKTES_CLOUD_MASK_FOLDER",
        metavar="FOLDER",
        help="Where downloaded granules are kept; the user's cache unless given.",
    ),
]
CrsOption = Annotated[
    str | None,
    typer.Option(envvar="AKTES_CRS", help="Projected CRS of the result; the items' unless given."),
]
ResolutionOption = Annotated[
    str,
    typer.Option(
        envvar="AKTES_RESOLUTION",
        metavar="auto|native|METRES",
        help="Pixel: the items' own (native), a size in m such as 90, or the items' own where "
        "they lie on one grid and else 90 m (auto).",
    ),
]
MethodOption = Annotated[Method, typer.Option(envvar="AKTES_METHOD", help="Retrieval method.")]
CloudsOption = Annotated[
    CloudsChoice,
    typer.Option(
        envvar="AKTES_CLOUDS",
        help="Who says where cloud is: the cube's mask, else the bundle's test; that test; or no "
        "test.",
    ),
]
KeepCloudy = Annotated[
    bool,
    typer.Option(
        "--keep-cloudy",
        envvar="AKTES_KEEP_CLOUDY",
        help="Keep what was retrieved of pixels under cloud.",
    ),
]
Closure = Annotated[
    bool | None,
    typer.Option(
        "--closure/--no-closure",
        envvar="AKTES_CLOSURE",
        help=(
            "Put what was retrieved back through the radiance equation, and keep what is left in "
            "each band; unless said, its rms where water vapour and air temperature are told."
        ),
    ),
]
BandShift = Annotated[
    bool,
    typer.Option(
        "--band-shift",
        envvar="AKTES_BAND_SHIFT",
        help="Register the bands of each date on one another, and warn of shifted ones.",
    ),
]
EncodingOption = Annotated[
    Encoding,
    typer.Option(
        envvar="AKTES_ENCODING",
        help="Store floating-point numbers, or the scaled integers and QC of JPL's products.",
    ),
]
PassesOption = Annotated[
    int,
    typer.Option(
        min=1,
        max=2,
        envvar="AKTES_PASSES",
        help="2: each date again, with what the other dates say of its emissivity.",
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        envvar="AKTES_STRICT",
        help="Stop at a file that cannot be read; write nothing.",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        envvar="DASK_SCHEDULER_ADDRESS", help="Dask cluster to run on; this machine if none."
    ),
]
