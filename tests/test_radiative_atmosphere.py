from __future__ import annotations

import numpy as np
import pytest

from aktes_xr import radiative, sensor
from aktes_xr.errors import InputError, ProfileError, ShapeError
from aktes_xr.radiative.gases import gas_absorption

LEVELS = 50
PRESSURE = 1013.0 * np.exp(-np.linspace(0, 11, LEVELS))


def profile(temperature: float = 288.0, water: float = 0.008, **changed: object) -> dict:
    """A plain column: 6.5 K/km up to a stratosphere, water with a scale height of 2 km."""
    height = -7.6 * np.log(PRESSURE / 1013.0)
    return {
        "pressure_hpa": PRESSURE,
        "temperature_k": np.maximum(temperature - 6.5 * height, 215.0),
        "h2o_vmr": np.maximum(water * np.exp(-height / 2.0), 4e-6),
        "o3_vmr": 3e-8 + 8e-6 * np.exp(-(((height - 32) / 9) ** 2)),
        **changed,
    }


def solve(**changed: object) -> object:
    return radiative.simulate_atmosphere(**profile(**changed))


@pytest.mark.parametrize("temperature", [230.0, 280.0, 305.0])
@pytest.mark.parametrize("angle", [0.0, 8.55, 15.0])
@pytest.mark.parametrize("calibrated", [True, False])
def test_an_isothermal_column_emits_what_it_absorbs(
    temperature: float, angle: float, calibrated: bool
) -> None:
    water = 0.0001 if temperature < 260 else 0.0008
    column = profile(water=water, temperature_k=np.full(LEVELS, temperature))
    out = radiative.simulate_atmosphere(**column, view_zenith_deg=angle, calibrated=calibrated)
    black = sensor.brightness_temperature_to_radiance(np.full(5, temperature))
    assert np.abs(out.path_radiance - (1 - out.transmittance) * black).max() < 1e-6
    assert (out.sky_radiance > out.path_radiance).all()
    assert (out.sky_radiance < black).all()


def test_without_absorbers_the_column_is_transparent() -> None:
    out = radiative.simulate_atmosphere(
        **profile(h2o_vmr=np.zeros(LEVELS), o3_vmr=np.zeros(LEVELS)),
        trace_gases=radiative.TraceGases(co2=0.0, n2o=0.0, ch4=0.0, cfc11=0.0, cfc12=0.0),
        calibrated=False,
    )
    np.testing.assert_allclose(out.transmittance, 1.0, atol=2e-8)
    np.testing.assert_allclose(out.path_radiance, 0.0, atol=2e-7)
    np.testing.assert_allclose(out.sky_radiance, 0.0, atol=2e-7)


def test_transmittance_falls_with_every_absorber_and_with_the_path() -> None:
    start = solve().transmittance
    assert (solve(water=0.012).transmittance < start - 1e-3).all()
    thick_ozone = solve(o3_vmr=2 * profile()["o3_vmr"]).transmittance
    assert (thick_ozone <= start).all()
    assert float((start - thick_ozone).sel(band="B12")) > 0.015
    slant = radiative.simulate_atmosphere(**profile(), view_zenith_deg=15.0)
    assert (slant.transmittance < start - 1e-3).all()
    high = radiative.simulate_atmosphere(**profile(), surface_pressure_hpa=700.0)
    assert (high.transmittance > start + 0.01).all()
    assert float(high.precipitable_water) < 0.5 * float(solve().precipitable_water)
    for gas in ("co2", "n2o", "ch4", "cfc11", "cfc12"):
        more = radiative.TraceGases(**{gas: 2 * getattr(radiative.TraceGases(), gas)})
        out = radiative.simulate_atmosphere(**profile(), trace_gases=more)
        assert float((out.transmittance - start).min()) < -1e-5, gas


def test_a_grey_absorber_obeys_beer_and_lambert() -> None:
    """CFC-12 has one term per sub-band: its depth doubles with its amount and with the path."""
    only = {"co2": 0.0, "n2o": 0.0, "ch4": 0.0, "cfc11": 0.0}
    column = profile(h2o_vmr=np.zeros(LEVELS), o3_vmr=np.zeros(LEVELS))
    gas = gas_absorption(calibrated=False)
    depth = [
        1
        - radiative.simulate_atmosphere(
            **column,
            trace_gases=radiative.TraceGases(cfc12=amount, **only),
            view_zenith_deg=angle,
            calibrated=False,
        ).transmittance.to_numpy()
        for amount, angle in ((1e-12, 0.0), (2e-12, 0.0), (1e-12, 60.0))
    ]
    assert gas.terms[:, 6].max() == 1
    assert depth[0].max() > 1e-6
    np.testing.assert_allclose(depth[1][3], 2 * depth[0][3], rtol=1e-2)
    np.testing.assert_allclose(depth[2][3], depth[1][3], rtol=1e-2)


def test_sky_radiance_against_a_finer_quadrature() -> None:
    """Forty angles of Gauss-Legendre through the solver's own slant paths, isothermal."""
    temperature = 285.0
    column = profile(water=0.001, temperature_k=np.full(LEVELS, temperature))
    found = radiative.simulate_atmosphere(**column).sky_radiance.to_numpy()
    nodes, weights = np.polynomial.legendre.leggauss(20)
    cosine, weight = (nodes + 1) / 2, weights / 2
    inside = cosine >= 0.5
    angles = np.rad2deg(np.arccos(cosine))
    black = sensor.brightness_temperature_to_radiance(np.full(5, temperature))
    batch = radiative.simulate_atmospheres(**column, view_zenith_deg=angles[inside])
    emitted = batch.path_radiance[0]
    # Below 30 degrees of elevation the emission lies between that at 60 degrees and a black body.
    rest = 1.0 - 2 * (cosine * weight)[inside].sum()
    seen = 2 * ((cosine * weight)[inside, None] * emitted).sum(axis=0)
    assert (found > seen + rest * emitted[np.argmin(cosine[inside])]).all()
    assert (found < seen + rest * black).all()


def test_levels_in_either_order_and_below_the_ground() -> None:
    column = profile()
    turned = {name: values[::-1] for name, values in column.items()}
    one, two = (radiative.simulate_atmosphere(**c) for c in (column, turned))
    assert one.equals(two)
    deeper = {name: np.concatenate([values[:1], values]) for name, values in column.items()}
    deeper["pressure_hpa"][0] = 1050.0
    deeper["temperature_k"][0] = 310.0
    cut = radiative.simulate_atmosphere(**deeper, surface_pressure_hpa=1013.0)
    np.testing.assert_allclose(cut.transmittance, one.transmittance, rtol=1e-9)


def test_a_batch_equals_its_members() -> None:
    columns = [profile(280.0, 0.005), profile(300.0, 0.02)]
    stacked = {name: np.stack([c[name] for c in columns]) for name in columns[0]}
    batch = radiative.simulate_atmospheres(
        **stacked, surface_pressure_hpa=[1000.0, 850.0], view_zenith_deg=[0.0, 8.0]
    )
    assert batch.transmittance.shape == (2, 2, 5)
    for i, surface in enumerate((1000.0, 850.0)):
        one = radiative.simulate_atmosphere(
            **columns[i], surface_pressure_hpa=surface, view_zenith_deg=8.0
        )
        np.testing.assert_array_equal(batch.transmittance[i, 1], one.transmittance)
        np.testing.assert_array_equal(batch.path_radiance[i, 1], one.path_radiance)
        np.testing.assert_array_equal(batch.sky_radiance[i], one.sky_radiance)
        assert batch.precipitable_water[i] == one.precipitable_water


def test_slight_supersaturation_condenses() -> None:
    saturated = solve(water=0.0175)
    moist = profile(water=0.0175)
    moist["h2o_vmr"][0] *= 1.15
    out = radiative.simulate_atmosphere(**moist)
    assert float(out.precipitable_water - saturated.precipitable_water) < 1.0


def broken(name: str, level: int, value: float) -> dict:
    column = {key: values.copy() for key, values in profile().items()}
    column[name][level] = value
    return column


@pytest.mark.parametrize(
    ("column", "level"),
    [
        (broken("pressure_hpa", 7, 900.0), 7),
        (broken("pressure_hpa", 49, -0.1), 49),
        (broken("temperature_k", 3, np.nan), 3),
        (broken("temperature_k", 0, 15.0), 0),
        (broken("h2o_vmr", 5, -1e-4), 5),
        (broken("h2o_vmr", 2, 0.05), 2),
        (broken("o3_vmr", 20, -1e-9), 20),
        (broken("o3_vmr", 11, np.inf), 11),
        (profile(surface_pressure_hpa=1030.0), 0),
        (profile(surface_pressure_hpa=0.001), 49),
    ],
)
def test_bad_profiles_name_the_level(column: dict, level: int) -> None:
    with pytest.raises(ProfileError, match=rf"level {level} "):
        radiative.simulate_atmosphere(**column)


def test_other_refusals() -> None:
    with pytest.raises(InputError, match="view zenith"):
        radiative.simulate_atmosphere(**profile(), view_zenith_deg=-3.0)
    with pytest.raises(ProfileError, match="one length"):
        radiative.simulate_atmosphere(**profile(o3_vmr=np.zeros(3)))
    with pytest.raises(ShapeError, match="shapes"):
        radiative.simulate_atmospheres(**profile(o3_vmr=np.zeros((2, 3))))
    with pytest.raises(InputError, match="co2"):
        radiative.TraceGases(co2=400.0)


def test_standard_pressure() -> None:
    """ISO 2533: 1013.25, 898.75 and 701.09 hPa at 0, 1000 and 3000 m."""
    found = radiative.surface_pressure_from_elevation(np.array([0.0, 1000.0, 3000.0]))
    np.testing.assert_allclose(found, [1013.25, 898.75, 701.09], atol=0.05)


def cold_air(humidity_over_ice: float) -> dict:
    """A column whose air below 233 K holds so many times what saturates it over ice."""
    column = profile(water=0.004)
    cold = (column["temperature_k"] < 233.0) & (column["pressure_hpa"] > 150.0)
    assert cold.any()
    # Murphy and Koop 2005, eq. 7
    t = column["temperature_k"][cold]
    over_ice = np.exp(9.550426 - 5723.265 / t + 3.53068 * np.log(t) - 0.00728332 * t)
    vapor = humidity_over_ice * over_ice / (100.0 * column["pressure_hpa"][cold])
    column["h2o_vmr"] = column["h2o_vmr"].copy()
    column["h2o_vmr"][cold] = vapor / (1.0 - vapor)
    return column


def test_supersaturation_over_ice_is_kept_and_said() -> None:
    dry = radiative.simulate_atmosphere(**cold_air(0.5))
    moist = radiative.simulate_atmosphere(**cold_air(1.5))
    assert "humidity" not in dry.attrs
    assert "over ice" in moist.attrs["humidity"]
    assert moist.precipitable_water > dry.precipitable_water


def test_more_than_air_holds_over_ice_is_refused() -> None:
    with pytest.raises(ProfileError, match="over ice"):
        radiative.simulate_atmosphere(**cold_air(4.0))


def test_what_condenses_is_said() -> None:
    moist = profile(water=0.0175)
    moist["h2o_vmr"][0] *= 1.15
    assert "condensed" in radiative.simulate_atmosphere(**moist).attrs["humidity"]
