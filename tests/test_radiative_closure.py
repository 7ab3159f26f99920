from __future__ import annotations

import csv
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from real_data import real_files

from aktes_xr import sensor
from aktes_xr.radiative import band_atmosphere, closure_residual, load_emulator
from aktes_xr.radiative.closure import CLOSURE, close, closure_tables
from aktes_xr.radiative.closure_block import model, new_block
from aktes_xr.radiative.emulated_block import BLOCK
from aktes_xr.radiative.surface import top_of_atmosphere_radiance
from aktes_xr.radiative.water import water_emissivity

NEDT_K = 0.15
PIXELS = 4000


def scene(water: float, air_k: float, view: float = 3.0) -> dict[str, np.ndarray]:
    """Pixels of known truth under a known atmosphere, measured with noise."""
    rng = np.random.default_rng(3)
    temperature = rng.uniform(air_k - 5.0, air_k + 20.0, PIXELS)
    emissivity = rng.uniform(0.85, 0.99, (PIXELS, 5))
    air = [np.broadcast_to(x, (PIXELS, 5)) for x in band_atmosphere(water, air_k, 950.0, view)]
    radiance = top_of_atmosphere_radiance(temperature, emissivity, *air)
    noise = sensor.noise_equivalent_radiance(np.full(5, NEDT_K)) * rng.standard_normal((PIXELS, 5))
    kelvin = sensor.radiance_to_brightness_temperature(radiance + noise)
    return {"kelvin": kelvin, "temperature": temperature, "emissivity": emissivity,
            "t": air[0], "lp": air[1], "ls": air[2]}  # fmt: skip


def residual(found: dict[str, np.ndarray], shift_k: float = 0.0, shift: float = 0.0) -> np.ndarray:
    return np.asarray(
        closure_residual(
            found["kelvin"],
            found["temperature"] + shift_k,
            found["emissivity"] + shift,
            found["t"],
            found["lp"],
            found["ls"],
        )
    )


def rms(values: np.ndarray) -> np.ndarray:
    return np.sqrt(np.mean(values**2, axis=0))


@pytest.mark.parametrize(("water", "air_k"), [(3.0, 275.0), (12.0, 288.0), (35.0, 298.0)])
def test_an_unbiased_retrieval_leaves_the_noise(water: float, air_k: float) -> None:
    found = scene(water, air_k)
    # NEdT holds at 300 K: at other temperatures the same radiance is another difference.
    slope = sensor.radiance_derivative(np.full(5, 300.0)) / sensor.radiance_derivative(
        found["kelvin"]
    )
    assert (rms(residual(found) / slope) <= 1.2 * NEDT_K).all()


def test_planted_errors_show() -> None:
    found = scene(10.0, 288.0)
    assert found["t"].min() > 0.6
    assert np.mean(rms(residual(found, shift_k=2.0).T) > 3 * NEDT_K) > 0.99
    assert np.mean(rms(residual(found, shift_k=-2.0).T) > 3 * NEDT_K) > 0.99
    dry = scene(4.0, 280.0)
    assert dry["t"].min() > 0.8
    for sign in (-1.0, 1.0):
        assert np.mean(rms(residual(dry, shift=0.03 * sign).T) > 3 * NEDT_K) > 0.99


def closed(found: dict[str, np.ndarray], **air: float) -> dict[str, np.ndarray]:
    state = np.concatenate(
        [found["kelvin"].T, found["temperature"][None], found["emissivity"].T, np.ones((1, PIXELS))]
    ).astype(np.float32)
    names = ("water", "water_error", "air", "air_error", "pressure")
    values = np.array([air.get(name, np.nan) for name in names], np.float32)
    given = np.repeat(values[:, None], PIXELS, axis=1)
    return dict(zip(CLOSURE, close(state, given, 3.0, load_emulator()), strict=True))


def test_the_kernel_agrees_with_the_equation() -> None:
    found = scene(12.0, 288.0)
    rows = closed(found, water=12.0, air=288.0, pressure=950.0)
    expected = residual(found)
    for band, name in enumerate(sensor.BANDS):
        np.testing.assert_allclose(rows[f"residual_{name}"], expected[:, band], atol=0.01)
    np.testing.assert_allclose(rows["residual_rms"], rms(expected.T), atol=0.01)
    assert not rows["fitted"].any()


def test_what_erring_air_propagates_is_known() -> None:
    found = scene(20.0, 292.0)
    erring = closed(found, water=22.0, water_error=2.0, air=294.0, air_error=2.0, pressure=950.0)
    # Both errors are one standard deviation off, and together no more than what is stated of them.
    stated = np.sqrt(erring["propagated_rms"] ** 2 + NEDT_K**2)
    assert np.mean(erring["residual_rms"] <= 2.0 * stated) > 0.95
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(40):
        rows = closed(
            found,
            water=20.0 + 2.0 * rng.standard_normal(),
            water_error=2.0,
            air=292.0 + 2.0 * rng.standard_normal(),
            air_error=2.0,
            pressure=950.0,
        )
        ratios.append(
            (rows["residual_rms"] ** 2).mean() / (rows["propagated_rms"] ** 2 + NEDT_K**2).mean()
        )
    assert np.sqrt(np.mean(ratios)) <= 1.2


def test_an_unknown_atmosphere_is_fitted_and_said() -> None:
    found = scene(12.0, 288.0)
    rows = closed(found, pressure=950.0)
    assert rows["fitted"].all()
    # Two of five numbers are fitted: no more than the noise is left.
    assert np.quantile(rows["residual_rms"], 0.95) < 0.35
    half = closed(found, water=12.0, water_error=1.0, pressure=950.0)
    assert half["fitted"].all()
    # What no atmosphere explains stays: one band of five that is off.
    found["emissivity"][:, 1] -= 0.1
    assert np.median(closed(found, pressure=950.0)["residual_rms"]) > 3 * 0.3 / 2


def test_open_sea_closes_with_waters_emissivity() -> None:
    # Scene means of a real granule over open sea, where its statistics are at hand.
    table = real_files("aster_l1t") / "scene_dn_statistics.csv"
    with table.open() as file:
        rows = {row["band"]: row for row in csv.DictReader(file) if "2007-12-27" in row["granule"]}
    dn = np.array([float(rows[band]["dn_mean"]) for band in sensor.BANDS])
    kelvin = sensor.radiance_to_brightness_temperature((dn - 1) * sensor.UNIT_CONVERSION)
    found = {
        "kelvin": np.repeat(kelvin[None], PIXELS, axis=0),
        "temperature": np.full(PIXELS, 293.65),
        "emissivity": np.repeat(water_emissivity()[None], PIXELS, axis=0),
    }
    closed_ = closed(found, pressure=1013.0)
    worst = max(abs(float(closed_[f"residual_{band}"][0])) for band in sensor.BANDS)
    assert worst <= 0.25


def test_nothing_retrieved_is_nothing_closed() -> None:
    found = scene(12.0, 288.0)
    found["temperature"][:10] = np.nan
    for air in ({"water": 12.0, "air": 288.0}, {}):
        rows = closed(found, pressure=950.0, **air)
        assert np.isnan(rows["residual_rms"][:10]).all()
        assert np.isfinite(rows["residual_rms"][10:]).all()


def random_pixels(count: int) -> tuple[np.ndarray, np.ndarray]:
    """State and air of pixels of all kinds, on relief, each under its own air; not retrieved."""
    rng = np.random.default_rng(8)
    air_k = rng.uniform(235.0, 312.0, count)
    state = np.concatenate(
        [
            rng.uniform(240.0, 320.0, (5, count)),
            (air_k + rng.uniform(-10.0, 25.0, count))[None],
            rng.uniform(0.6, 0.99, (5, count)),
            rng.uniform(0.3, 1.0, (1, count)),
        ]
    )
    water = rng.uniform(0.0, 65.0, count)
    air = np.stack([water, 0.1 * water, air_k, np.full(count, 2.0), rng.uniform(480, 1050, count)])
    return state.astype(np.float32), air.astype(np.float32)


def equation(state: np.ndarray, air: np.ndarray) -> np.ndarray:
    """The residual as the public functions have it, one after the other in double precision."""
    t, path, sky = (x.astype(float) for x in band_atmosphere(air[0], air[2], air[4], 8.0))
    temperature, emissivity = state[5].astype(float), state[6:11].T.astype(float)
    black = sensor.brightness_temperature_to_radiance(np.repeat(temperature[:, None], 5, axis=1))
    around = emissivity * black + (1.0 - emissivity) * sky
    return np.asarray(
        closure_residual(
            state[:5].T.astype(float), temperature, emissivity, t, path, sky,
            sky_view_factor=state[11].astype(float),
            adjacent_radiance=around,
        )
    )  # fmt: skip


def test_look_ups_and_single_precision_cost_less_than_a_millikelvin() -> None:
    state, air = random_pixels(3000)
    rows = close(state, air, 8.0, closure_tables())
    expected = equation(state, air)
    assert np.abs(rows[:5].T - expected).max() < 2e-4


def by_air(state: np.ndarray, air: np.ndarray, part: int) -> np.ndarray:
    """The slope of the modelled temperatures by a row of the air, by small differences."""
    less, more = air.copy(), air.copy()
    less[part] -= 0.05
    more[part] += 0.05
    return (equation(state, less) - equation(state, more)) / (more[part] - less[part])[:, None]


def test_slopes_are_those_of_small_differences() -> None:
    state, air = random_pixels(BLOCK)
    tables, block = closure_tables(), new_block()
    block.surface[:], block.pressure[:] = state[5:], air[4]
    block.point[:] = air[[0, 2]]
    slant = (np.cos(np.deg2rad(8.0)) ** -tables.exponent).astype(np.float32)
    model(block, block.point, slant, tables)
    np.testing.assert_allclose(block.modelled[0].T, state[:5].T - equation(state, air), atol=2e-4)
    for row, part in ((1, 0), (2, 2)):
        expected = by_air(state, air, part)
        # Half of these columns are more than their air can carry. Where a column is just full,
        # a difference stretches over the kink.
        near = np.abs(block.modelled[row].T - expected) < 0.001 + 0.001 * np.abs(expected)
        assert near.mean() > 0.99
        assert np.ptp(expected) > 0.5


def test_propagated_errors_are_slopes_times_stated_errors_and_near_the_whole_step() -> None:
    state, air = random_pixels(2000)
    told = close(state, air, 8.0, closure_tables())[CLOSURE.index("propagated_rms")]
    expected = equation(state, air)
    first_order, whole = np.zeros(len(expected)), np.zeros(len(expected))
    for part in (0, 2):
        first_order += ((by_air(state, air, part) * air[part + 1][:, None]) ** 2).mean(axis=1)
        moved = air.copy()
        moved[part] += air[part + 1]
        whole += ((equation(state, moved) - expected) ** 2).mean(axis=1)
    ratio = told / np.sqrt(first_order)
    assert np.quantile(np.abs(ratio - 1.0), 0.99) < 0.01
    # A tenth of the water and 2 K: second order is a few per cent, and a sixth at worst.
    ratio = told / np.sqrt(whole)
    assert 0.9 < np.median(ratio) < 1.05
    assert np.quantile(ratio, 0.01) > 0.8
    assert np.quantile(ratio, 0.99) < 1.25


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_pixel_is_closed_in_all_bands_or_in_none(wrong: float) -> None:
    state, air = random_pixels(40)
    for row in range(11):
        state[row, row] = wrong
    air[4, 11] = wrong
    for told in (True, False):
        given = air.copy()
        if not told:
            given[:4] = np.nan
        rows = close(state, given, 8.0, closure_tables())
        assert np.isnan(rows[:, :12]).all()
        assert np.isfinite(rows[:, 12:]).all()
        assert (rows[CLOSURE.index("fitted"), 12:] == (not told)).all()
    # Endless water or air is no air, and is not fitted either; an endless error allows all.
    air[0, 12], air[2, 13], air[1, 14] = np.inf, np.inf, np.inf
    rows = close(state, air, 8.0, closure_tables())
    assert np.isnan(rows[:, 12:14]).all()
    assert not rows[CLOSURE.index("propagated_rms"), 14] < 1e30


def test_threads_close_at_once() -> None:
    state, air = random_pixels(5000)
    air[:4, ::3] = np.nan
    alone = close(state, air, 8.0, closure_tables())
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: close(state, air, 8.0, closure_tables()), range(12)):
            np.testing.assert_array_equal(found, alone)


def test_a_pixel_does_not_depend_on_those_beside_it() -> None:
    state, air = random_pixels(700)
    rng = np.random.default_rng(1)
    air[0, rng.random(700) < 0.4] = np.nan
    air[2, rng.random(700) < 0.4] = np.nan
    state[5, rng.random(700) < 0.1] = np.nan
    whole = close(state, air, 8.0, closure_tables())
    order = rng.permutation(700)
    cut = np.empty_like(whole)
    for part in np.array_split(order, [1, 30, 400]):
        cut[:, part] = close(state[:, part], air[:, part], 8.0, closure_tables())
    np.testing.assert_array_equal(cut, whole)


@pytest.mark.parametrize(("water", "air_k"), [(12.0, 288.0), (35.0, 298.0)])
def test_the_fit_leaves_hardly_more_than_the_best_of_all_atmospheres(
    water: float, air_k: float
) -> None:
    found = scene(water, air_k)
    count = 60
    kelvin, emissivity = found["kelvin"][:count], found["emissivity"][:count]
    # A retrieval that errs, so that the best atmosphere is not the true one.
    temperature = found["temperature"][:count] + 0.5
    state = np.concatenate([kelvin.T, temperature[None], emissivity.T, np.ones((1, count))])
    unknown = np.full((5, count), np.nan)
    unknown[4] = 950.0
    rows = close(state.astype(np.float32), unknown.astype(np.float32), 3.0, closure_tables())
    columns, airs = np.meshgrid(np.arange(0.5, 80.0, 0.5), np.arange(265.0, 325.0, 0.5))
    atmospheres = [x.reshape(-1, 5) for x in band_atmosphere(columns, airs, 950.0, 3.0)]
    excess = []
    for pixel in range(count):
        every = [np.broadcast_to(x, atmospheres[0].shape)
                 for x in (kelvin[pixel], emissivity[pixel])]  # fmt: skip
        warmth = np.full(columns.size, temperature[pixel])
        left = closure_residual(every[0], warmth, every[1], *atmospheres)
        prior = ((columns.ravel() - 15.0) / 15.0) ** 2
        prior += ((airs.ravel() - temperature[pixel] + 2.0) / 10.0) ** 2
        best = np.argmin((left**2).sum(axis=1) / sensor.NEDT_SPECIFICATION_K**2 + prior)
        excess.append(rows[5, pixel] - rms(left[best]))
    assert np.median(excess) < 0.02
    assert np.quantile(excess, 0.9) < 0.05
