"""Figures and the page: what is drawn, with which limits, and that text cannot break out."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from aktes_xr.errors import GridError, MissingVariableError
from aktes_xr.sensor import BANDS
from aktes_xr.validation import report

NY, NX = 30, 40
COORDS = {
    "time": np.array(["2020-06-01T10:30", "2020-06-17T10:30"], "M8[ns]"),
    "band": list(BANDS),
    "y": 4_000_000.0 - 90.0 * np.arange(NY),
    "x": 500_000.0 + 90.0 * np.arange(NX),
}


def scene() -> tuple[xr.Dataset, xr.Dataset]:
    """A result of two dates that is 0.5 K too warm on the first, and its truth."""
    rng = np.random.default_rng(0)
    true = rng.uniform(280, 320, (2, NY, NX)).astype("float32")
    retrieved = true + np.float32(0.5)
    retrieved[:, :3, :3] = np.nan
    cube, image = ("time", "y", "x"), ("y", "x")
    result = xr.Dataset(
        {
            "surface_temperature": (cube, retrieved, {"units": "K"}),
            "surface_temperature_uncertainty": (cube, np.full_like(true, 0.4), {"units": "K"}),
            "emissivity": (("time", "band", "y", "x"), rng.uniform(0.7, 1, (2, 5, NY, NX))),
            "student_weight": (cube, rng.uniform(0, 1, true.shape)),
            "sky_view_factor": (image, rng.uniform(0.6, 1, (NY, NX))),
            "terrain_complexity": (image, rng.uniform(0, 1, (NY, NX)), {"units": "K"}),
        },
        coords=COORDS,
    )
    truth = xr.Dataset(
        {"surface_temperature": (cube, true)}, coords=result.drop_dims("band").coords
    )
    return result, truth


def titles(figure: Figure) -> list[str]:
    return [axis.get_title() for axis in figure.axes if axis.images and axis.get_title()]


def test_comparison_shares_limits_and_states_the_error() -> None:
    figure = report.quicklook(*scene())
    maps = [axis for axis in figure.axes if axis.get_xlim()[1] > 400]
    assert [m.get_title() for m in maps][:2] == [
        "true surface temperature",
        "retrieved surface temperature",
    ]
    assert "MAE 0.50 K, bias +0.50 K" in maps[2].get_title()
    assert maps[0].images[0].get_clim() == maps[1].images[0].get_clim()
    low, high = maps[2].images[0].get_clim()
    assert low == -high
    assert len(maps) == 6


def test_without_truth_the_uncertainty_is_drawn() -> None:
    figure = report.quicklook(scene()[0])
    assert "stated uncertainty (1 sigma)" in titles(figure)
    assert "true surface temperature" not in titles(figure)


def test_maps_lie_on_pixel_edges_in_kilometres() -> None:
    figure = report.quicklook(*scene())
    left, right, bottom, top = figure.axes[0].images[0].get_extent()
    assert (left, right) == pytest.approx((499.955, 500 + 0.09 * NX - 0.045))
    assert (top, bottom) == pytest.approx((4000.045, 4000 - 0.09 * NY + 0.045))


def test_date_and_band_can_be_chosen() -> None:
    figure = report.quicklook(scene()[0], time=1, band="B10")
    assert figure.get_suptitle() == "Land-surface temperature, 2020-06-17 10:30 UTC"
    assert "emissivity B10" in titles(figure)


def test_lazy_and_sparse_results_are_drawn() -> None:
    result = scene()[0][["surface_temperature"]].chunk({"y": 7})
    figure = report.quicklook(result)
    assert titles(figure) == ["surface temperature"]
    figure.savefig(io.BytesIO(), format="png")


def test_a_scene_without_valid_pixels_is_drawn() -> None:
    result, truth = scene()
    empty = result.assign(surface_temperature=result["surface_temperature"] * np.nan)
    figure = report.quicklook(empty, truth)
    assert "no common pixel" in figure.axes[2].get_title()
    figure.savefig(io.BytesIO(), format="png")


def test_large_scenes_are_thinned() -> None:
    big = xr.Dataset(
        {"surface_temperature": (("y", "x"), np.full((2500, 100), 300.0, "float32"))},
        coords={"y": -90.0 * np.arange(2500), "x": 90.0 * np.arange(100)},
    )
    assert report.quicklook(big).axes[0].images[0].get_array().shape == (834, 34)


def test_what_cannot_be_drawn_is_refused() -> None:
    result, truth = scene()
    with pytest.raises(MissingVariableError, match="no surface_temperature"):
        report.quicklook(result.drop_vars("surface_temperature"))
    with pytest.raises(GridError, match="the truth"):
        report.quicklook(result, truth.assign_coords(x=truth["x"] + 45.0))


def test_page_is_self_contained_and_escaped() -> None:
    text = report.page(
        "Run of <script>",
        tables={"Errors": (("method", "MAE"), [("a<b", 0.5), ("none", float("nan"))])},
        figures={"Map & truth": report.quicklook(*scene())},
        provenance={"version": "0.1", "item": "<img>"},
    )
    assert "<script>" not in text
    assert "<img>" not in text
    assert "a&lt;b" in text
    assert "<td>0.500</td>" in text
    assert "<td>n/a</td>" in text
    sources = re.findall(r"(?:src|href)='([^']*)'", text)
    assert len(sources) == 1
    assert sources[0].startswith("data:image/png;base64,")
    assert len(text) < 2_000_000
