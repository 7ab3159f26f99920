"""Air that no profile of the table has."""

from __future__ import annotations

import numpy as np
import pytest

from aktes_xr.radiative.atmosphere import simulate_atmosphere
from aktes_xr.radiative.profiles import saturation_vapor_pressure
from aktes_xr.simulate import FieldRecipe, draw_fields
from aktes_xr.simulate.varied_air import VariedAir, draw_varied_air


def columns(count: int, *, ground_hpa: float = 950.0, seed: int = 0) -> list[VariedAir]:
    rng = np.random.default_rng(seed)
    return [draw_varied_air(rng, "train", ground_hpa=ground_hpa) for _ in range(count)]


def test_columns_are_physical() -> None:
    for air in columns(60):
        pressure, temperature, water, ozone = air.levels
        assert (np.diff(pressure) < 0).all()
        assert (170.0 < temperature.min()) & (temperature.max() < 331.0)
        assert (water > 0).all()
        assert (ozone > 0).all()
        low = pressure > 40_000.0
        vapor = pressure * water / (1 + water)
        saturated = np.array([saturation_vapor_pressure(t) for t in temperature])
        assert (vapor[low] <= 1.01 * saturated[low]).all()


def test_wet_and_dry_air_occur_and_none_beyond_what_is_seen() -> None:
    found = np.array([air.water_above(950.0) for air in columns(300)])
    assert found.max() < 75.5
    assert np.mean(found > 35.0) > 0.05
    assert np.mean(found < 5.0) > 0.1


def test_inversions_occur_at_the_ground() -> None:
    above = [air.temperature_at(900.0) - air.temperature_at(950.0) for air in columns(200)]
    assert 0.1 < np.mean(np.array(above) > 1.0) < 0.6


def test_a_column_is_solved_as_the_public_function_solves_it() -> None:
    air = columns(1)[0]
    solved = air.solve(np.array([900.0, 800.0]), np.ones(2), view_zenith_deg=7.0)
    pressure, temperature, water, ozone = air.levels
    for place, ground in enumerate((900.0, 800.0)):
        one = simulate_atmosphere(
            pressure / 100.0, temperature, water, ozone, surface_pressure_hpa=ground,
            view_zenith_deg=7.0,
        )  # fmt: skip
        np.testing.assert_allclose(solved.transmittance[place], one["transmittance"], rtol=1e-9)
        np.testing.assert_allclose(solved.path_radiance[place], one["path_radiance"], rtol=1e-9)
        np.testing.assert_allclose(
            solved.precipitable_water[place], one["precipitable_water"], rtol=1e-9
        )
        assert air.water_above(ground) == pytest.approx(float(one["precipitable_water"]), rel=0.03)


@pytest.mark.parametrize("terrain", [False, True])
def test_fields_under_such_air_repeat_themselves(terrain: bool) -> None:
    recipe = FieldRecipe(count=2, shape=(32, 32), terrain=terrain, varied=1.0, seed=4)
    first, second = (list(draw_fields(recipe)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.dn, other.dn)
        assert np.isfinite(one.brightness_temperature[one.valid]).all()


def test_the_air_over_relief_is_that_of_its_heights() -> None:
    recipe = FieldRecipe(count=1, shape=(32, 32), terrain=True, varied=1.0, seed=5)
    field = next(draw_fields(recipe))
    assert field.terrain is not None
    water, height = field.air.precipitable_water, field.terrain.elevation
    assert np.corrcoef(water.ravel(), height.ravel())[0, 1] < -0.5
    assert ((field.air.transmittance > 0) & (field.air.transmittance < 1)).all()


def test_the_model_atmospheres_stay_as_they_are() -> None:
    plain = next(draw_fields(FieldRecipe(count=1, shape=(32, 32), protocol="P")))
    varied = next(draw_fields(FieldRecipe(count=1, shape=(32, 32), protocol="P", varied=1.0)))
    np.testing.assert_array_equal(plain.dn, varied.dn)
