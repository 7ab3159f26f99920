"""The configuration of a job: one TOML file, whose values the environment may override."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from aktes_xr.errors import ConfigError, InputError
from aktes_xr.store.address import parse_address

PREFIX: Final = "AKTES_JOB__"
"""``AKTES_JOB__STORE__ADDRESS`` in the environment goes before ``address`` of ``[store]``."""

Degrees = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
Metres = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1)]


def _address(text: str) -> str:
    parse_address(text)
    return text


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Region(_Part):
    """Where: one of ``bbox``, ``geojson`` and ``bounds_m``."""

    bbox: tuple[Degrees, Degrees, Degrees, Degrees] | None = Field(
        default=None, description="West, south, east, north, degrees."
    )
    geojson: Path | None = Field(
        default=None,
        description="Its geometry's box is taken whole.",
    )
    bounds_m: tuple[Metres, Metres, Metres, Metres] | None = Field(
        default=None, description="Left, bottom, right, top in crs, metres."
    )
    crs: str | None = Field(
        default=None,
        description="Projected CRS with a code; else the middle's UTM zone.",
    )
    resolution_m: Positive = Field(default=90.0, description="Side of a pixel, metres.")

    @model_validator(mode="after")
    def _one(self) -> Region:
        given = [n for n in ("bbox", "geojson", "bounds_m") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError(
                f"found {' and '.join(given) or 'none'} of bbox, geojson and bounds_m: give one"
            )
        if self.bounds_m is not None and self.crs is None:
            raise ValueError("bounds_m needs crs")
        return self


class Input(_Part):
    """What: items, elevation and ancillaries."""

    sources: Annotated[tuple[Name, ...], Field(min_length=1)] = Field(
        description="Shipped sources, addresses of STAC APIs, static catalogues or item files."
    )
    period: str | None = Field(default=None, description="Such as 2000-03/2006-12; else all.")
    max_cloud_cover: Annotated[float, Field(ge=0, le=100)] | None = Field(
        default=None, description="Percent; items that do not state it are left out."
    )
    dem: str | None = Field(default=None, description="Elevation raster or source.")
    ancillaries: tuple[Name, ...] = Field(default=(), description="As aktes retrieve takes them.")
    cloud_mask: tuple[Name, ...] = Field(
        default=(), description="Files or folders of MOD35_L2 granules, or mod35 to download them."
    )
    cloud_mask_folder: Path | None = Field(
        default=None, description="Where downloaded granules are kept; else the user's cache."
    )
    allowed_hosts: tuple[Name, ...] | None = Field(default=None, description="The only ones.")


class Retrieval(_Part):
    """How."""

    method: Literal["fusion", "teacher", "student", "tes", "split_window"] = "fusion"
    bundle: str = "default"
    clouds: Literal["auto", "network", "rules", "none"] = Field(
        default="auto", description="Who says where cloud is: mask, else the bundle's own test."
    )
    keep_cloudy: bool = Field(default=False, description="Keep what lies under cloud.")
    closure: bool = Field(
        default=False,
        description="Put what is retrieved back through the radiance equation: residual and flag.",
    )
    # No literal: what the environment says is text.
    passes: Annotated[int, Field(ge=1, le=2)] = Field(
        default=1,
        description="2: a second series, beside the first, with what its dates say of each other.",
    )
    chunk: Count | None = Field(
        default=None, description="Side of a chunk, pixels; what suits the memory unless given."
    )

    @model_validator(mode="after")
    def _takes_a_prior(self) -> Retrieval:
        if self.passes == 2 and self.method in ("tes", "split_window"):
            raise ValueError(f"method {self.method!r} takes no second pass: set passes = 1")
        return self


class Store(_Part):
    """Where to."""

    address: Annotated[str, AfterValidator(_address)] = Field(
        description="A local path, or s3://, gs://, az://; credentials are the environment's."
    )
    backend: Literal["zarr", "icechunk"] = "zarr"
    sharded: bool = Field(default=True, description="One file per chunk; not for GDAL 3.12.")


class Cluster(_Part):
    """What computes. A cluster that the job starts is stopped with it."""

    kind: Literal["threads", "processes", "address", "gateway", "kubernetes"] = "threads"
    address: str | None = Field(default=None, description="Of a scheduler, or of a Dask gateway.")
    workers: Count | None = Field(default=None, description="At most, where the job starts them.")
    threads: Count | None = Field(default=None, description="Of each worker, or of this process.")
    memory: str | None = Field(default=None, description="Of each worker, such as 4 GB.")
    adaptive: bool = Field(default=False, description="From one worker up to workers, as needed.")
    image: str | None = Field(
        default=None, description="Of scheduler and workers, for kubernetes; by digest is best."
    )
    namespace: str | None = Field(default=None, description="For kubernetes.")
    manifest: Path | None = Field(
        default=None,
        description="DaskCluster resource (YAML) to make the cluster from, for kubernetes.",
    )
    options: dict[Name, str | int | float | bool] = Field(
        default={}, description="Cluster options of the gateway, such as image."
    )

    @model_validator(mode="after")
    def _complete(self) -> Cluster:
        if self.kind == "address" and self.address is None:
            raise ValueError("kind = 'address' needs address")
        if self.kind == "kubernetes" and self.image is None and self.manifest is None:
            raise ValueError("kind = 'kubernetes' needs image or manifest")
        if self.manifest is not None and (self.memory or self.threads):
            raise ValueError("manifest says memory and threads of a worker: leave them out here")
        return self


class Budget(_Part):
    """How much of the work one run does; the next one goes on."""

    dates: Count | None = Field(default=None, description="Dates at most.")
    order: Literal["oldest", "newest"] = Field(
        default="oldest", description="Which dates come first."
    )
    hours: Positive | None = Field(default=None, description="No batch is begun later than this.")
    batch: Count | None = Field(default=None, description="Dates in work at once.")


class Retries(_Part):
    """What is tried again."""

    unreadable: Annotated[int, Field(ge=0)] = Field(
        default=3, description="So many later runs try what could not be read."
    )


class Retention(_Part):
    """What may leave the series, by ``aktes series``."""

    days: Positive | None = Field(
        default=None,
        description="Dates that were taken longer ago leave, and are not made; else all stay.",
    )
    history_days: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=30.0,
        description="What was superseded stays so long, for readers that have opened it before.",
    )


class Report(_Part):
    """What is said beside the log."""

    metrics: Path | None = Field(default=None, description="Prometheus text file.")
    json_file: Path | None = Field(default=None, description="Report of the last run.")
    page: Path | None = Field(
        default=None,
        description="HTML page of the series and the run, after each that made a date.",
    )
    heartbeat_s: Positive = Field(default=60.0, description="Seconds between signs of life.")
    alive: Path | None = Field(
        default=None, description="File that each sign of life touches, for a probe."
    )


class Notify(_Part):
    """Who is told when a run has ended."""

    webhook_env: Name | None = Field(
        default=None,
        description="Name of the environment variable that holds a webhook's secret address.",
    )
    when: Literal["trouble", "always"] = Field(
        default="trouble", description="Only runs that do not end with 0, or all."
    )
    deadline_s: Positive = Field(default=10.0, description="Seconds for the message.")


class Job(BaseSettings):
    """A scheduled series: every date of a region once."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__"
    )

    region: Region
    input: Input
    store: Store
    retrieval: Retrieval = Retrieval()
    cluster: Cluster = Cluster()
    budget: Budget = Budget()
    retries: Retries = Retries()
    retention: Retention = Retention()
    report: Report = Report()
    notify: Notify = Notify()

    @model_validator(mode="after")
    def _uses_its_mask(self) -> Job:
        # Here, so that reading a job loads nothing of the cube.
        from aktes_xr.ancillaries.cloud_mask import USED_BY

        if self.input.cloud_mask and self.retrieval.clouds not in USED_BY:
            raise ValueError(
                f"clouds = {self.retrieval.clouds!r} takes no mask: leave cloud_mask out, or set "
                "clouds = 'auto'"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment go before the file, and read nothing else."""
        return env_settings, init_settings


def load_job(path: str | os.PathLike[str]) -> Job:
    """Read a job's file and the environment.

    Parameters
    ----------
    path : str or path
        The TOML file. Paths in it are relative to where the command runs.

    Returns
    -------
    Job

    Raises
    ------
    ConfigError
        It cannot be read or breaks its schema; the message names every wrong value.
    """
    name = Path(path).name
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"could not read {name}: {error.strerror}; give a job's TOML") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} is no TOML: {error}; correct it") from None
    _refuse_unknown(os.environ)
    try:
        return Job(**content)
    except (ValidationError, InputError) as error:
        raise ConfigError(
            f"{name} breaks the schema of a job: {_wrong(error)}; 'aktes job schema' prints it"
        ) from None


def job_schema() -> dict[str, Any]:
    """Return the JSON schema of a job's file.

    Returns
    -------
    dict
    """
    found = Job.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def _refuse_unknown(environment: Any) -> None:
    """Refuse variables of the job's prefix that name no table: they would do nothing."""
    known = {name.upper() for name in Job.model_fields}
    unknown = [
        name
        for name in sorted(environment)
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).split("__")[0] not in known
    ]
    if unknown:
        raise ConfigError(
            f"the environment has {unknown[0]}, but a job has no such table: expected {PREFIX} and "
            f"one of {', '.join(sorted(known))}"
        )


def _wrong(error: ValidationError | InputError) -> str:
    if isinstance(error, InputError):
        return str(error)
    lines = []
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        place = ".".join(map(str, one["loc"])) or "the file"
        lines.append(f"{place}: {one['msg'].removeprefix('Value error, ')}")
    return "; ".join(lines)
