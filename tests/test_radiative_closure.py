from __future__ import annotations

import csv

import numpy as np
import pytest
from real_data import real_files

from aktes_xr import sensor
from aktes_xr.radiative import band_atmosphere, closure_residual, load_emulator
from aktes_xr.radiative.closure import CLOSURE, close
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
