"""TES against worked pixels, a plain NumPy twin, and its own algebra."""

from __future__ import annotations

import numpy as np
import pytest

from aktes_xr import sensor
from aktes_xr.baselines import (
    ECOSTRESS,
    GILLESPIE,
    GILLESPIE_1998,
    TesConventions,
    tes,
    tes_block,
    tes_parameters,
)
from aktes_xr.baselines.tes_kernel import (
    BETA_OUT_OF_RANGE,
    EMISSIVITY_MAX_REFINED,
    EMISSIVITY_OUT_OF_RANGE,
    INVALID,
    NOT_CONVERGED,
)
from aktes_xr.bench.tes_throughput import sample_radiances, tes_numpy, tes_throughput
from aktes_xr.errors import BandError, InputError, ShapeError

WAVELENGTH_UM = (8.2873, 8.6349, 9.0793, 10.6592, 11.2893)
SKY = np.array([2.8, 2.0, 1.8, 1.4, 1.7])
WATER = np.array([7.590664, 7.867354, 8.133145, 8.263146, 8.046414])
CONIFER = np.array([9.196004, 9.444104, 9.657266, 9.547033, 9.254090])


@pytest.mark.parametrize(
    ("leaving", "temperature", "mmd", "minimum"),
    [(WATER, 291.1613, 0.03056, 0.94146), (CONIFER, 300.2620, 0.01729, 0.95947)],
    ids=["water", "conifer"],
)
def test_the_vicar_programs_worked_pixels(leaving, temperature, mmd, minimum):
    found, emissivity = tes(
        leaving,
        SKY,
        emissivity_max=0.96,
        temperature_band="min_emissivity",
        wavelength_um=WAVELENGTH_UM,
    )
    assert found == pytest.approx(temperature, abs=1e-3)
    assert emissivity.min() == pytest.approx(minimum, abs=1e-4)
    # What it writes is radiance over Planck's: MMD is in the minimum, by emin = a - b MMD^c.
    assert ((0.994 - emissivity.min()) / 0.687) ** (1 / 0.737) == pytest.approx(mmd, abs=1e-4)


def test_each_convention_of_that_program_is_needed():
    """Codata's constants, another iteration count or one more correction miss its figures."""
    common = {"emissivity_max": 0.96, "wavelength_um": WAVELENGTH_UM}
    exact, _ = tes(WATER, SKY, temperature_band="min_emissivity", **common)
    assert (
        abs(tes(WATER, SKY, temperature_band="min_emissivity", iterations=4, **common)[0] - exact)
        > 2e-3
    )
    for conventions in (
        TesConventions(iterations=5, nedt_k=0.0, final_sky_correction=False),
        GILLESPIE,
    ):
        other, _ = tes(
            WATER, SKY, temperature_band="min_emissivity", conventions=conventions, **common
        )
        assert abs(other - exact) > 2e-3


def forward(temperature, emissivity, sky=SKY):
    planck = sensor.brightness_temperature_to_radiance(np.full(5, temperature))
    return emissivity * planck + (1 - emissivity) * sky


@pytest.mark.parametrize("temperature", [265.0, 300.0, 330.0])
def test_a_surface_on_the_mmd_relation_comes_back(temperature):
    """Told the true maximum, TES is exact where the minimum is what the relation predicts."""
    shape = np.array([0.0, 0.3, 0.1, 0.9, 1.0])
    emissivity = np.full(5, 0.9)
    for contrast in (0.02, 0.1, 0.25):
        minimum = 0.994 - 0.687 * contrast**0.737
        for _ in range(50):
            emissivity = minimum + shape * contrast * np.mean(emissivity)
        found, spectrum = tes(
            forward(temperature, emissivity),
            SKY,
            emissivity_max=float(emissivity.max()),
            conventions=TesConventions(iterations=60, nedt_k=1e-6),
        )
        assert found == pytest.approx(temperature, abs=1e-3)
        np.testing.assert_allclose(spectrum, emissivity, atol=1e-5)


def test_the_kernel_equals_its_numpy_twin():
    leaving = sample_radiances(4_000, seed=3)
    temperature, emissivity = tes(leaving, SKY)
    twin_temperature, twin_emissivity = tes_numpy(leaving, SKY)
    np.testing.assert_allclose(temperature, twin_temperature, atol=1e-9)
    np.testing.assert_allclose(emissivity, twin_emissivity, atol=1e-12)


def test_float32_stays_and_agrees():
    leaving = sample_radiances(500)
    single, emissivity = tes(leaving.astype(np.float32), SKY.astype(np.float32))
    assert single.dtype == np.float32
    assert emissivity.dtype == np.float32
    np.testing.assert_allclose(single, tes(leaving, SKY)[0], atol=5e-3)


def test_shapes_band_axis_and_sky_per_pixel():
    leaving = sample_radiances(12).reshape(3, 4, 5)
    temperature, emissivity = tes(leaving, SKY)
    assert temperature.shape == (3, 4)
    assert emissivity.shape == (3, 4, 5)
    spread = np.broadcast_to(SKY, leaving.shape)
    np.testing.assert_array_equal(tes(leaving, spread)[0], temperature)
    first = tes_block(
        np.moveaxis(leaving, -1, 0), np.moveaxis(spread, -1, 0), tes_parameters(), band_axis=0
    )
    np.testing.assert_array_equal(first.temperature, temperature)
    np.testing.assert_array_equal(np.moveaxis(first.emissivity, 0, -1), emissivity)


def test_missing_input_gives_missing_output_and_is_flagged():
    leaving = sample_radiances(4)
    leaving[0, 2] = np.nan
    leaving[1, 0] = -1.0
    kept = leaving.copy()
    result = tes(leaving, SKY, full_output=True)
    np.testing.assert_array_equal(leaving, kept)
    assert np.isnan(result.temperature[:2]).all()
    assert np.isnan(result.emissivity[:2]).all()
    assert (result.flags[:2] == INVALID).all()
    assert np.isfinite(result.temperature[2:]).all()
    assert not (result.flags[2:] & INVALID).any()


def test_flags_name_what_went_wrong():
    gray = tes(forward(300.0, np.full(5, 0.97)), SKY, full_output=True)
    assert gray.flags == 0
    steep = np.array([0.5, 0.55, 0.98, 0.98, 0.98])
    assert tes(forward(300.0, steep), SKY, full_output=True).flags & BETA_OUT_OF_RANGE
    once = tes(forward(300.0, steep), SKY, iterations=1, full_output=True)
    assert once.flags & NOT_CONVERGED
    high = tes(forward(300.0, steep), SKY, mmd=(1.2, 0.0, 1.0), full_output=True)
    assert high.flags & EMISSIVITY_OUT_OF_RANGE


def test_temperature_bands_and_conventions_differ_as_documented():
    emissivity = np.array([0.90, 0.91, 0.89, 0.96, 0.97])
    leaving = forward(300.0, emissivity)
    results = {
        band: float(tes(leaving, SKY, temperature_band=band, conventions=GILLESPIE)[0])
        for band in ("max_emissivity", "min_emissivity", "B13", 4)
    }
    # The band of greatest emissivity here is B14, number 4; the conventions are held equal.
    assert results[4] == results["max_emissivity"]
    assert len({round(value, 4) for value in results.values()}) == 3
    refined = tes(leaving, SKY, conventions=GILLESPIE_1998, full_output=True)
    assert refined.flags & EMISSIVITY_MAX_REFINED
    assert float(tes(leaving, SKY, temperature_band="B13")[0]) == float(
        tes(leaving, SKY, temperature_band="B13", conventions=ECOSTRESS)[0]
    )


def test_dividing_by_the_maximum_or_the_current_emissivity_meet():
    """NEM's two forms share the fixed point where one band keeps the maximum."""
    leaving = sample_radiances(200, seed=5)
    tight = {"iterations": 60, "nedt_k": 1e-7}
    current, _ = tes(leaving, SKY, conventions=TesConventions(**tight))
    maximum, _ = tes(leaving, SKY, conventions=TesConventions(**tight, nem_emissivity="maximum"))
    np.testing.assert_allclose(current, maximum, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"emissivity_max": 1.2}, InputError, "emissivity_max"),
        ({"mmd": (1.0, 2.0)}, InputError, "mmd"),
        ({"temperature_band": "B99"}, BandError, "B99"),
        ({"temperature_band": 7}, BandError, "7"),
        ({"wavelength_um": (8.0, 9.0)}, ShapeError, "wavelengths"),
        ({"wavelength_um": (8e-6,) * 5}, InputError, "um"),
        ({"iterations": 0}, InputError, "iteration"),
    ],
)
def test_bad_options_are_named(options, error, text):
    with pytest.raises(error, match=text):
        tes(WATER, SKY, **options)


def test_bad_arrays_are_named():
    with pytest.raises(ShapeError, match="surface_leaving"):
        tes(np.ones((5, 3)), SKY)
    with pytest.raises(ShapeError, match="sky_radiance"):
        tes(np.ones((4, 5)), np.ones((3, 5)))
    with pytest.raises(InputError, match="complex"):
        tes(np.ones(5, dtype=complex), SKY)


def test_throughput_is_measured_on_equal_results():
    measured = tes_throughput(pixels=20_000, repeats=2)
    assert measured.largest_difference_k < 1e-9
    assert measured.ratio > 5.0
