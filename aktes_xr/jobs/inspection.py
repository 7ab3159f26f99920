"""A job looked at without running it."""

from __future__ import annotations

import os
from pathlib import Path

from aktes_xr.ancillaries.cloud_mask import check_cloud_mask
from aktes_xr.errors import ConfigError
from aktes_xr.jobs.access import modifier_for
from aktes_xr.jobs.cluster_resource import cluster_resource
from aktes_xr.jobs.config import Job
from aktes_xr.jobs.dates import box_of, grid_of
from aktes_xr.jobs.notice import webhook_of
from aktes_xr.jobs.second_pass import second_address
from aktes_xr.jobs.stamps import stamps_of
from aktes_xr.stac import sources
from aktes_xr.store.address import parse_address
from aktes_xr.store.series import read_journal


def check_job(job: Job) -> dict[str, str]:
    """Check all of a job that can be checked without running it.

    Parameters
    ----------
    job : Job

    Returns
    -------
    dict of str
        What was checked, and what was found.

    Raises
    ------
    AktesError
        The first thing that cannot be used.
    """
    grid = grid_of(job.region)
    rows, columns = grid.shape
    box = ", ".join(f"{edge:.3f}" for edge in box_of(grid))
    found = {
        "grid": f"EPSG:{grid.epsg}, {rows} x {columns} pixels of {grid.pixel[0]:g} m",
        "box": f"{box} degrees",
    }
    modifier_for(job.input.sources)
    for name in job.input.sources:
        if "://" not in name and name not in sources() and not Path(name).exists():
            raise ConfigError(
                f"there is no source, file or folder {name!r}; expected one of "
                f"{', '.join(sorted(sources()))}, an address or a path"
            )
    dem = job.input.dem
    if dem is not None and "://" not in dem and dem not in sources() and not os.path.exists(dem):
        raise ConfigError(f"there is no elevation raster or source {dem!r}")
    if job.input.cloud_mask:
        check_cloud_mask(job.input.cloud_mask)
        found["cloud mask"] = ", ".join(Path(name).name for name in job.input.cloud_mask)
    found["sources"] = ", ".join(job.input.sources)
    if webhook_of(job.notify) is not None:
        found["webhook"] = f"address in {job.notify.webhook_env}"
    if job.cluster.kind == "kubernetes":
        found["cluster"] = (
            f"{cluster_resource(job.cluster)['spec']['worker']['replicas']} worker(s)"
        )
    found["bundle"] = stamps_of(job, grid)["bundle"] or "none needed"
    journal = read_journal(job.store.address)
    found["store"] = "not there yet" if journal is None else f"{len(journal.entries)} date(s)"
    if job.retrieval.passes == 2:
        found["second pass"] = parse_address(second_address(job.store.address)).name
    return found
