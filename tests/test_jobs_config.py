"""A job's file: what it must hold, what the environment changes, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from aktes_xr.cli import app
from aktes_xr.cube.grid import Grid
from aktes_xr.errors import ConfigError
from aktes_xr.jobs.config import job_schema, load_job
from aktes_xr.jobs.dates import box_of, grid_of

LEAST = """
[region]
bbox = [7.0, 45.5, 8.5, 46.5]
[input]
sources = ["planetary_computer"]
[store]
address = "r.zarr"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "job.toml"
    path.write_text(text)
    return path


def test_the_least_a_job_needs(tmp_path: Path) -> None:
    job = load_job(write(tmp_path, LEAST))
    assert job.retrieval.method == "fusion"
    assert job.cluster.kind == "threads"
    grid = grid_of(job.region)
    assert (grid.epsg, grid.pixel) == (32632, (90.0, 90.0))
    west, south, east, north = box_of(grid)
    assert west < 7.0 < 8.5 < east
    assert south < 45.5 < 46.5 < north


def test_a_second_pass_needs_a_method_that_takes_a_prior(tmp_path: Path) -> None:
    text = f"{LEAST}\n[retrieval]\npasses = 2\n"
    assert load_job(write(tmp_path, text)).retrieval.passes == 2
    with pytest.raises(ConfigError, match="takes no second pass"):
        load_job(write(tmp_path, f'{text}method = "tes"\n'))


def test_the_environment_goes_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AKTES_JOB__STORE__ADDRESS", "s3://bucket/r.zarr")
    monkeypatch.setenv("AKTES_JOB__BUDGET__DATES", "7")
    job = load_job(write(tmp_path, LEAST))
    assert (job.store.address, job.budget.dates) == ("s3://bucket/r.zarr", 7)


def test_a_variable_that_names_no_table_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AKTES_JOB__STOER__ADDRESS", "x")
    with pytest.raises(ConfigError, match="AKTES_JOB__STOER__ADDRESS"):
        load_job(write(tmp_path, LEAST))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("r.zarr", "http://host/r.zarr"), "store.address: the store's place begins with http"),
        (("r.zarr", "s3://key:secret@bucket/r"), "holds more than bucket and prefix"),
        (("[store]", "[store]\ncolour = 1"), "store.colour"),
        (('["planetary_computer"]', "[]"), "input.sources"),
        (("bbox = [7.0, 45.5, 8.5, 46.5]", ""), "found none of bbox, geojson and bounds_m"),
        (("bbox =", "bounds_m ="), "bounds_m needs crs"),
        (("8.5, ", ""), "region.bbox"),
        (("[region]", "[region"), "is no TOML"),
        (("[store]", "[cluster]\nkind = 'address'\n[store]"), "needs address"),
    ],
)
def test_what_a_job_must_not_say(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=r"job\.toml") as raised:
        load_job(write(tmp_path, LEAST.replace(*change)))
    assert words in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_region_by_geometry_and_by_metres(tmp_path: Path) -> None:
    ring = [[7.0, 45.5], [8.5, 45.5], [8.5, 46.5], [7.0, 45.5]]
    place = tmp_path / "place.geojson"
    place.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    by_box = grid_of(load_job(write(tmp_path, LEAST)).region)
    text = LEAST.replace("bbox = [7.0, 45.5, 8.5, 46.5]", f"geojson = '{place}'")
    assert grid_of(load_job(write(tmp_path, text)).region) == by_box
    metres = "bounds_m = [300000, 5000000, 300900, 5000450]\ncrs = 'EPSG:32632'"
    text = LEAST.replace("bbox = [7.0, 45.5, 8.5, 46.5]", metres)
    grid = grid_of(load_job(write(tmp_path, text)).region)
    # Edges lie on multiples of the resolution.
    assert grid == Grid(32632, (299_970.0, 5_000_490.0), (90.0, 90.0), (6, 11))
    place.write_text("{}")
    with pytest.raises(ConfigError, match=r"place\.geojson holds no geometry"):
        grid_of(
            load_job(
                write(
                    tmp_path, LEAST.replace("bbox = [7.0, 45.5, 8.5, 46.5]", f"geojson = '{place}'")
                )
            ).region
        )


def test_the_schema_takes_what_the_reader_takes(tmp_path: Path) -> None:
    import tomllib

    done = CliRunner().invoke(app, ["job", "schema"])
    assert done.exit_code == 0
    schema = json.loads(done.stdout)
    assert schema == job_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(tomllib.loads(LEAST), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(LEAST + "\ncolour = 1"), schema)
