"""What README shows is run: every Python snippet, each in a fresh process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SNIPPETS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)

# What a reader has before the first line: granules with an elevation model, and, in the place of a
# store that cannot be reached from here, a file of ancillaries.
BEFORE = """
import numpy as np
import xarray as xr
import aktes_xr

items = aktes_xr.simulate.write_scene("scene", terrain="alpine", shape=(48, 56), seed=2)
"""
PHYSICS = """
import numpy as np
import rioxarray
import aktes_xr

p = np.geomspace(1013.0, 0.1, 40)
t = np.maximum(288.0 - 6.5 * 7.4 * np.log(1013.0 / p), 217.0)
h2o, o3 = 0.01 * (p / 1013.0) ** 4, np.full(40, 3e-7)
surface_leaving = np.array([9.196004, 9.444104, 9.657266, 9.547033, 9.254090])
sky_radiance = np.array([2.8, 2.0, 1.8, 1.4, 1.7])
aktes_xr.simulate.write_scene("relief", terrain="alpine", shape=(40, 40))
elevation = rioxarray.open_rasterio("relief/dem.tif").squeeze("band", drop=True)
"""


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_snippet_runs(number: int, tmp_path: Path) -> None:
    snippet = SNIPPETS[number]
    snippet = snippet.replace('"dem.tif"', '"scene/dem.tif"')
    snippet = snippet.replace('"era5"', '"scene/ancillary.zarr"')
    # A small granule says as much as a whole one.
    snippet = snippet.replace('terrain="alpine")', 'terrain="alpine", shape=(40, 40))')
    before = PHYSICS if "simulate_atmosphere" in snippet else BEFORE
    script = tmp_path / "snippet.py"
    script.write_text(before + snippet)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_readme_has_snippets() -> None:
    assert len(SNIPPETS) >= 2
