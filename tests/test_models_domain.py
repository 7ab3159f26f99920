from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from aktes_xr.errors import BundleIntegrityError
from aktes_xr.learn.domain import fit_mixture
from aktes_xr.models.domain import DOMAIN_FILE, Domain, coordinates


@pytest.fixture(scope="module")
def kelvin() -> np.ndarray:
    """Temperatures of two kinds of ground whose bands go together."""
    rng = np.random.default_rng(0)
    ground = rng.normal(295.0, 12.0, 6000)
    emissivity = np.where(rng.random(6000) < 0.5, -4.0, -0.5)
    shape = np.array([1.0, 1.1, 1.0, 0.2, 0.0])
    bands = ground[:, None] + emissivity[:, None] * shape + 0.15 * rng.standard_normal((6000, 5))
    return np.ascontiguousarray(bands.T, np.float32)


@pytest.fixture(scope="module")
def domain(kelvin: np.ndarray) -> Domain:
    fitted = fit_mixture(kelvin, 6, 20, seed=1)
    limit = float(np.quantile(fitted.distance(kelvin), 0.997))
    return dataclasses.replace(fitted, limit=limit)


def test_distance_is_that_to_the_nearest_part(domain: Domain, kelvin: np.ndarray) -> None:
    places = coordinates(kelvin[:, :50]).T.astype(np.float64)
    expected = np.full(50, np.inf)
    for mean, root, offset in zip(domain.mean, domain.root, domain.offset, strict=True):
        away = places - mean
        inverse = root.astype(np.float64) @ root.T
        expected = np.minimum(expected, np.einsum("ni,ij,nj->n", away, inverse, away) + offset)
    np.testing.assert_allclose(domain.distance(kelvin[:, :50]), expected, rtol=1e-3, atol=1e-2)


def test_exchanged_bands_and_half_the_gain_are_outside(domain: Domain, kelvin: np.ndarray) -> None:
    assert domain.outside(kelvin).mean() < 0.005
    # Within every band's own range, but no ground sends them together.
    for order in ([4, 1, 2, 3, 0], [3, 1, 2, 0, 4]):
        grey = kelvin[0] - kelvin[4] < -2.0
        assert domain.outside(kelvin[order][:, grey]).mean() > 0.95
    assert (
        domain.outside(kelvin - np.array([36, 38, 40, 46, 49], np.float32)[:, None]).mean() > 0.95
    )
    unknown = np.full((5, 3), np.nan, np.float32)
    assert not domain.outside(unknown).any()


def test_a_domain_survives_its_file(domain: Domain, kelvin: np.ndarray) -> None:
    again = Domain.from_files(domain.files())
    assert again is not None
    np.testing.assert_array_equal(again.distance(kelvin), domain.distance(kelvin))
    assert Domain.from_files({}) is None
    with pytest.raises(BundleIntegrityError):
        Domain.from_files({DOMAIN_FILE: b"nothing"})
