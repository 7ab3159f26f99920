from __future__ import annotations

from pathlib import Path

import pytest

from aktes_xr import cube
from aktes_xr.jobs import kernels
from aktes_xr.jobs.kernels import compile_kernels, sample_cube


def test_nothing_is_left_to_compile_for_a_cube() -> None:
    first, place = compile_kernels()
    assert first > 40
    assert Path(place).is_dir()
    assert compile_kernels() == (first, place)


@pytest.mark.parametrize("digital", [True, False])
def test_the_cubes_are_cubes(digital: bool) -> None:
    ds = sample_cube(20, digital=digital)
    cube.check(ds)
    cube.check(kernels._bare(ds))
