"""The command that hands a result on: COGs for a GIS, NetCDF, or a STAC catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from aktes_xr.cli.console import answer
from aktes_xr.cli.options import BundleOption, JsonFlag, Overwrite, ResultArgument
from aktes_xr.errors import InputError


def export(
    result: ResultArgument,
    cog: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for COGs, one for each variable and date."),
    ] = None,
    netcdf: Annotated[
        Path | None, typer.Option(metavar="FILE", help="NetCDF file, for all together.")
    ] = None,
    stac: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for a static STAC catalogue, with a page."),
    ] = None,
    with_cogs: Annotated[
        bool, typer.Option("--with-cogs", help="Put COGs into the catalogue, too.")
    ] = False,
    href: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where the catalogue's readers will find the store."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Id of the catalogue's collection; the store's name.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Of the catalogue, for people.")] = None,
    licence: Annotated[
        str, typer.Option("--licence", help="Of the catalogue's data: an SPDX identifier.")
    ] = "other",
    bundle: BundleOption = "default",
    overwrite: Overwrite = False,
    as_json: JsonFlag = False,
) -> None:
    """Write a result as COGs that a GIS opens, as NetCDF, or as a STAC catalogue; all at once."""
    from aktes_xr.store import open_result, write_cogs, write_netcdf

    if cog is None and netcdf is None and stac is None:
        raise InputError(
            "found no format to export to; give --cog DIR, --netcdf FILE, --stac DIR or several"
        )
    if with_cogs and stac is None:
        raise InputError("found --with-cogs without --stac: give --stac DIR, or --cog DIR alone")
    opened = open_result(result)
    written: dict[str, Any] = {}
    if cog is not None:
        written["cogs"] = [str(path) for path in write_cogs(opened, cog, overwrite=overwrite)]
    if netcdf is not None:
        written["netcdf"] = str(write_netcdf(opened, netcdf, overwrite=overwrite))
    if stac is not None:
        from aktes_xr.stac.publication import Publication, publish

        settings = Publication(
            name=name, title=title, licence=licence, href=href, cogs=with_cogs, bundle=bundle
        )
        written["stac"] = str(publish(result, stac, settings, overwrite=overwrite))
    answer(written, as_json)
