"""What importing the package costs: which modules come with it, and when the accessor appears."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

import pytest

import aktes_xr

HEAVY = {
    "tensorflow",
    "keras",
    "autokeras",
    "distributed",
    "xarray",
    "numba",
    "matplotlib",
    "typer",
}


def modules_after(code: str) -> set[str]:
    """Top-level modules loaded in a fresh interpreter by `code`, which may print nothing."""
    script = f"{code}\nimport json, sys; print(json.dumps([m for m in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=120
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def test_import_is_light() -> None:
    assert not modules_after("import aktes_xr") & HEAVY


def test_dir_lists_public_names_without_loading_them() -> None:
    code = "import aktes_xr; assert set(aktes_xr.__all__) <= set(dir(aktes_xr))"
    assert not modules_after(code) & HEAVY


@pytest.mark.parametrize(
    "first",
    [
        "import aktes_xr\nimport xarray",
        "import xarray\nimport aktes_xr",
        "import aktes_xr.accessor",
    ],
)
def test_accessor_registers_in_either_order(first: str) -> None:
    check = "import xarray; assert type(xarray.Dataset().aktes).__module__ == 'aktes_xr.accessor'"
    assert not modules_after(f"{first}\n{check}") & (HEAVY - {"xarray"})


def test_retrieval_path_works_without_training_packages() -> None:
    code = """
import sys
for name in ("tensorflow", "keras", "autokeras", "keras_tuner", "tensorboard"):
    sys.modules[name] = None  # importing it now raises ImportError
import aktes_xr.cli, aktes_xr.cube.quality, aktes_xr.report
import aktes_xr.retrieval, aktes_xr.stac, aktes_xr.store, aktes_xr.terrain
from aktes_xr.models import load_bundle
load_bundle("default")
"""
    assert "distributed" not in modules_after(code)


def test_no_public_name_is_hidden_by_a_module_of_the_same_name() -> None:
    rooms = {info.name for info in pkgutil.iter_modules(aktes_xr.__path__)}
    functions = {name for name in aktes_xr.__all__ if name not in rooms}
    assert {"retrieve", "open_stac", "load_bundle"} <= functions


def test_every_public_name_resolves() -> None:
    for name in aktes_xr.__all__:
        assert getattr(aktes_xr, name) is not None


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'retreive'"):
        aktes_xr.retreive  # noqa: B018
