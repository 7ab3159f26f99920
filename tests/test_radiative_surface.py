from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr

from aktes_xr import sensor
from aktes_xr.errors import InputError
from aktes_xr.radiative import surface

# Closed-form errors in B13 (K) of a flat retrieval at 300 K; the two decimals printed imply a sky
# radiance of 1.7 W m-2 sr-1 um-1.
PUBLISHED_ERROR = {
    (0.97, 0.9): 0.17,
    (0.97, 0.7): 0.50,
    (0.97, 0.5): 0.84,
    (0.95, 0.9): 0.29,
    (0.95, 0.7): 0.86,
    (0.95, 0.5): 1.43,
}
SKY = np.array([2.8, 2.0, 1.8, 1.4, 1.7])


def draw(n: int = 200) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        "surface_temperature": rng.uniform(250, 330, n),
        "emissivity": rng.uniform(0.7, 0.99, (n, 5)),
        "transmittance": rng.uniform(0.4, 0.98, (n, 5)),
        "path_radiance": rng.uniform(0.1, 4.0, (n, 5)),
        "sky_radiance": rng.uniform(0.2, 6.0, (n, 5)),
        "sky_view_factor": rng.uniform(0.4, 1.0, n),
        "adjacent_radiance": rng.uniform(5.0, 12.0, (n, 5)),
    }


def test_forward_against_the_equation_written_out() -> None:
    a = draw()
    found = surface.top_of_atmosphere_radiance(**a)
    for i in (0, 17, 199):
        for band in range(5):
            b = np.interp(
                a["surface_temperature"][i],
                sensor.planck_table().temperature,
                sensor.planck_table().radiance[band],
            )
            e, t, v = a["emissivity"][i, band], a["transmittance"][i, band], a["sky_view_factor"][i]
            down = v * a["sky_radiance"][i, band] + (1 - v) * a["adjacent_radiance"][i, band]
            expected = t * (e * b + (1 - e) * down) + a["path_radiance"][i, band]
            assert abs(found[i, band] - expected) < 1e-12 * 30


@pytest.mark.parametrize("terrain", [False, True])
def test_forward_and_inverse_close(terrain: bool) -> None:
    a = draw()
    extra = {k: a.pop(k) for k in ("sky_view_factor", "adjacent_radiance")}
    extra = extra if terrain else {}
    toa = surface.top_of_atmosphere_radiance(**a, **extra)
    leaving = surface.surface_leaving_radiance(toa, a["transmittance"], a["path_radiance"])
    back = surface.surface_temperature(leaving, a["emissivity"], a["sky_radiance"], **extra)
    assert np.abs(back - a["surface_temperature"][:, None]).max() < 1e-9


def test_transparent_atmosphere_over_a_black_body_is_the_identity() -> None:
    temperature = np.linspace(250, 330, 9)
    one, zero = np.ones((9, 5)), np.zeros((9, 5))
    toa = surface.top_of_atmosphere_radiance(temperature, one, one, zero, zero)
    back = sensor.radiance_to_brightness_temperature(toa)
    assert np.abs(back - temperature[:, None]).max() < 1e-9


def test_terrain_is_the_identity_under_an_open_sky() -> None:
    a = draw()
    a["sky_view_factor"] = np.ones_like(a["sky_view_factor"])
    terrain = surface.top_of_atmosphere_radiance(**a)
    del a["sky_view_factor"], a["adjacent_radiance"]
    np.testing.assert_array_equal(terrain, surface.top_of_atmosphere_radiance(**a))


@pytest.mark.parametrize(("emissivity", "view"), sorted(PUBLISHED_ERROR))
def test_published_errors_and_their_correction(emissivity: float, view: float) -> None:
    """The flat inverse errs as published, the terrain inverse does not."""
    adjacent = sensor.brightness_temperature_to_radiance(300.0, band="B13")
    ls = np.float64(1.7)
    leaving = surface.top_of_atmosphere_radiance(
        300.0,
        emissivity,
        1.0,
        0.0,
        ls,
        sky_view_factor=view,
        adjacent_radiance=adjacent,
        band="B13",
    )
    flat = surface.surface_temperature(leaving, emissivity, ls, band="B13")
    terrain = surface.surface_temperature(
        leaving, emissivity, ls, sky_view_factor=view, adjacent_radiance=adjacent, band="B13"
    )
    closed = surface.flat_retrieval_error_k(view, emissivity, 300.0, ls, band="B13")
    assert abs(closed - PUBLISHED_ERROR[emissivity, view]) <= 0.0051
    assert abs((flat - 300.0) - closed) < 0.01
    assert abs(terrain - 300.0) < 1e-9


def test_adjacent_terrain_reflects_the_sky() -> None:
    black = surface.flat_retrieval_error_k(0.7, np.full(5, 0.95), 300.0, SKY)
    grey = surface.flat_retrieval_error_k(
        0.7, np.full(5, 0.95), 300.0, SKY, adjacent_emissivity=0.9
    )
    np.testing.assert_allclose(grey, 0.9 * black, rtol=1e-12)


def test_lazy_equals_eager() -> None:
    a = draw(24)
    bands = {"band": list(sensor.BANDS)}
    lazy = {
        name: xr.DataArray(
            values.reshape(4, 6, *values.shape[1:]),
            dims=("y", "x", "band")[: values.ndim + 1],
            coords=bands if values.ndim == 2 else None,
        )
        .transpose(..., "y", "x")
        .chunk(y=3, x=2)
        for name, values in a.items()
    }

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("something computed")

    with dask.config.set(scheduler=refuse):
        toa = surface.top_of_atmosphere_radiance(**lazy)
        leaving = surface.surface_leaving_radiance(
            toa, lazy["transmittance"], lazy["path_radiance"]
        )
        error = surface.flat_retrieval_error_k(
            lazy["sky_view_factor"], np.full(5, 0.95), lazy["surface_temperature"], SKY
        )
    expected = surface.top_of_atmosphere_radiance(**a).reshape(4, 6, 5)
    np.testing.assert_array_equal(toa.transpose("y", "x", "band").compute(), expected)
    assert leaving.sizes == {"band": 5, "y": 4, "x": 6}
    expected = surface.flat_retrieval_error_k(
        a["sky_view_factor"], np.full(5, 0.95), a["surface_temperature"], SKY
    )
    np.testing.assert_array_equal(
        error.transpose("y", "x", "band").compute(), expected.reshape(4, 6, 5)
    )


def test_half_a_terrain_is_refused() -> None:
    with pytest.raises(InputError, match="both"):
        surface.irradiance(SKY, sky_view_factor=0.9)
