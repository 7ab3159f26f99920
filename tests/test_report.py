"""Figures and the page: what is drawn, with which limits, and that text cannot break out."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
import rioxarray  # noqa: F401
import xarray as xr
from matplotlib.figure import Figure

from aktes_xr import report
from aktes_xr.errors import GridError, InputError, MissingVariableError
from aktes_xr.report.panels import described, panel_of
from aktes_xr.report.series import series_figure
from aktes_xr.report.summary import summarise
from aktes_xr.sensor import BANDS

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
    check_self_contained(text, images=1)
    assert len(text) < 2_000_000


def check_self_contained(text: str, *, images: int) -> None:
    """Every image is in the page, nothing is fetched, and every image says what is seen."""
    sources = re.findall(r'src="([^"]*)"', text)
    assert len(sources) == images
    assert all(source.startswith(("data:image/webp;", "data:image/png;")) for source in sources)
    assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', text))
    assert not re.search(r"https?://|url\(|@import|<script", text)
    figures = re.findall(r'alt="([^"]*)".*?<figcaption>(.*?)</figcaption>', text, re.DOTALL)
    assert len(figures) == images
    assert all(len(alt) > 10 and alt != caption for alt, caption in figures)


def series(dates: int) -> xr.Dataset:
    """A result of many dates, one of them in cloud, with flags and a skipped item."""
    rng = np.random.default_rng(1)
    cube, image = ("time", "y", "x"), ("y", "x")
    quality = np.full((dates, NY, NX), 3 << 6, "uint16")
    quality[0] |= 4
    return xr.Dataset(
        {
            "surface_temperature": (
                cube,
                rng.uniform(280, 320, quality.shape).astype("float32"),
                {"units": "K"},
            ),
            "quality": (cube, quality),
            "sky_view_factor": (image, rng.uniform(0.6, 1, (NY, NX))),
        },
        coords={
            "time": np.datetime64("2020-06-01T10:30", "ns")
            + np.arange(dates) * np.timedelta64(16, "D"),
            "y": COORDS["y"],
            "x": COORDS["x"],
            "sun_zenith": ("time", np.full(dates, 30.0)),
        },
        attrs={
            "method_used": "fusion",
            "skipped_items": '[{"id": "AST_1", "reason": "no thermal <asset>"}]',
            "unreadable_share": {"AST_2": 0.25},
        },
    ).rio.write_crs("EPSG:32633")


def test_the_page_of_a_series_shows_all_dates_and_a_few_in_full() -> None:
    text = report.store_page(series(12), detailed=2)
    # A chart, the maps of two dates (temperature, quality), the ground once, twelve thumbnails.
    check_self_contained(text, images=1 + 2 * 2 + 1 + 12)
    assert text.count("date-") == 2 * 3
    assert "On 1 of 12 dates less than half of the ground is clear." in text
    assert "2020-06-01 10:30: n/a K, only 0 % clear" in text
    assert "AST_1" in text
    assert "no thermal &lt;asset&gt;" in text
    assert "could not be read in 25.00 % of its pixels" in text
    assert "WGS 84 / UTM zone 33N (EPSG:32633)" in text
    assert "retrieved by fusion" in text
    assert "['" not in text


def test_markers_of_cloudy_dates_are_hollow() -> None:
    result = series(3)
    result["surface_temperature"][1] += 20.0
    result["quality"][0, : NY // 3] = 3 << 6
    (axis,) = series_figure(summarise(result)).axes
    (hollow,) = (line for line in axis.lines if line.get_markerfacecolor() == "white")
    assert len(hollow.get_xdata()) == 1
    # They would be invisible below the filled ones.
    assert all(hollow.zorder > line.zorder for line in axis.lines if line is not hollow)


def test_regions_of_a_page_have_names_of_their_own() -> None:
    names = re.findall(r'aria-label="([^"]*)"', report.store_page(series(3)))
    assert len(names) == len(set(names))


def test_a_date_more_costs_a_thumbnail() -> None:
    few, many = (len(report.store_page(series(n), detailed=1)) for n in (10, 20))
    assert (many - few) / 10 < 6_000


def test_one_scale_serves_all_dates() -> None:
    two = series(2)
    two["surface_temperature"][1] += 30.0
    two["quality"][0] = 3 << 6
    text = report.store_page(two, detailed=2)
    words = re.search(r"black is (\d+) K, light yellow (\d+) K", text)
    assert words is not None
    assert int(words[1]) == pytest.approx(281, abs=1)
    assert int(words[2]) == pytest.approx(349, abs=1)


def test_figures_are_written_on_their_own(tmp_path: Path) -> None:
    report.store_page(series(3), detailed=1, figures=tmp_path / "figures")
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert [name.rpartition(".")[2] for name in names] == ["png", "svg", "png", "svg"]
    assert (tmp_path / "figures" / "series.svg").read_text().lstrip().startswith("<?xml")


def test_a_page_tells_of_its_run_and_of_gaps() -> None:
    text = report.store_page(
        series(2), run={"new": "2"}, gaps=[("2020-07-03 (AST_9)", "unreadable: <truncated>")]
    )
    assert text.index("What this run did") < text.index("Flags of quality")
    assert "2020-07-03 (AST_9)" in text
    assert "unreadable: &lt;truncated&gt;" in text
    assert "What this run did" not in report.store_page(series(2))


def test_figures_of_a_cloudy_date_say_so() -> None:
    result = series(2)
    words = "only 0 % clear (100 % cloud, 0 % without a temperature)"
    for figure in (
        report.overview(result, time=0),
        report.quicklook(result, time=0),
        result.aktes.plot.map(time=0),
    ):
        assert words in " ".join(figure.get_suptitle().split())
    assert "clear" not in report.overview(result, time=1).get_suptitle()
    assert report.overview(result, time=0, title="Mine").get_suptitle() == "Mine"


def test_a_page_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    report.write_page(path, "first")
    report.write_page(path, "second")
    assert path.read_text() == "second"
    assert [one.name for one in path.parent.iterdir()] == ["page.html"]


def test_overview_and_map_of_the_accessor() -> None:
    result = series(2)
    figure = result.aktes.plot.overview(time=1)
    assert {"surface temperature", "quality", "sky-view factor"} <= set(titles(figure))
    figure.savefig(io.BytesIO(), format="svg")
    one = result.aktes.plot.map("sky_view_factor", limits=(0.0, 1.0))
    assert one.axes[0].images[0].get_clim() == (0.0, 1.0)
    with pytest.raises(MissingVariableError, match="no 'emissivity'"):
        result.aktes.plot.map("emissivity", band="B12")
    with pytest.raises(InputError, match="found date 2"):
        result.aktes.plot.map(time=2)


def test_maps_have_scale_north_and_crs() -> None:
    figure = series(1).aktes.plot.map()
    words = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert "1 km" in words
    assert "N" in words
    assert any("EPSG:32633" in text.get_text() for text in figure.texts)


def test_neighbouring_quantities_have_colours_of_their_own() -> None:
    result = scene()[0].isel(time=0)
    names = ("surface_temperature", "surface_temperature_uncertainty", "terrain_complexity")
    assert len({panel_of(result, name).colours for name in (*names, "student_weight")}) == 4


def test_a_map_is_told_in_words() -> None:
    field = np.full((30, 30), 280.0, "float32")
    field[:8, 22:] = 310.0
    field[20:, :3] = np.nan
    date = xr.Dataset(
        {"surface_temperature": (("y", "x"), field, {"units": "K"})},
        coords={"y": -90.0 * np.arange(30), "x": 90.0 * np.arange(30)},
    )
    words = described(panel_of(date, "surface_temperature"))
    assert "highest in the north-east" in words
    assert "from 280.0 to 310.0 K" in words
    assert "3 % missing" in words
    empty = described(panel_of(date * np.nan, "surface_temperature"))
    assert empty == "Map of 30 by 30 pixels. Nothing is known anywhere."
