"""Fitting the domain of a bundle: a mixture of normal distributions, by expectation-maximisation.

References
----------
.. [1] Dempster, A. P., Laird, N. M. and Rubin, D. B. (1977), Maximum likelihood from incomplete
   data via the EM algorithm, J. R. Stat. Soc. B 39, 1-38.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.errors import InputError, TrainingError
from aktes_xr.learn.attachment import attach, check_place
from aktes_xr.models.bundle import load_bundle
from aktes_xr.models.domain import N_COORDINATES, Domain, coordinates
from aktes_xr.simulate.fields import FieldRecipe
from aktes_xr.simulate.worlds import draw_fields

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array
    from aktes_xr.simulate.emissivity import Split

CARD_HEADING: Final = "## Domain"
_PER_FIELD: Final = 60
_SHAPE: Final = (32, 32)
_OUTSIDE: Final = 0.003
# Noise that the simulation draws and digital numbers are rounded by: no part is narrower.
_NARROWEST_K: Final = 0.15


@dataclass(frozen=True)
class DomainRecipe:
    """What the fit of a domain depends on.

    Attributes
    ----------
    fields, validation_fields : int
    parts : int
        Of the mixture.
    rounds : int
        Of expectation and maximisation.
    seed : int
    """

    fields: int = 2000
    validation_fields: int = 800
    parts: int = 24
    rounds: int = 30
    seed: int = 16


DOMAIN_RECIPES: Final = {
    "quick": DomainRecipe(fields=300, validation_fields=200, parts=16, rounds=15),
    "release": DomainRecipe(),
}


def fit_domain(recipe: DomainRecipe, *, progress: Callable[[str], None] | None = None) -> Domain:
    """Fit the domain on simulated fields, and its limit on others of other air and ground.

    Parameters
    ----------
    recipe : DomainRecipe
    progress : callable, optional
        Called with a line at the end.

    Returns
    -------
    Domain
    """
    training = _drawn(recipe.fields, "train", recipe.seed)
    held = _drawn(recipe.validation_fields, "validation", recipe.seed)
    domain = fit_mixture(training, recipe.parts, recipe.rounds, seed=recipe.seed)
    limit = float(np.quantile(domain.distance(held), 1.0 - _OUTSIDE))
    if progress is not None:
        progress(f"{recipe.parts} parts; a pixel is out of domain beyond a distance of {limit:.1f}")
    return Domain(domain.mean, domain.root, domain.offset, limit)


def with_domain(
    out: Path,
    *,
    bundle: str,
    recipe: DomainRecipe | None = None,
    of: str | None = None,
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Write a bundle again with a domain: newly fitted, or that of another bundle.

    Parameters
    ----------
    out : Path
        Directory to write.
    bundle : str
        Name, path or URL of the bundle whose networks are kept.
    recipe : DomainRecipe, optional
        How to fit.
    of : str, optional
        A bundle whose domain is taken over instead.
    overwrite : bool
        Replace what is at ``out``, which may be the bundle itself.
    progress : callable, optional
        Called with a line at the end.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    InputError
        Neither or both of recipe and bundle are given, or ``out`` exists.
    TrainingError
        The other bundle has no domain.
    """
    if (recipe is None) == (of is None):
        raise InputError("name either a recipe to fit by or a bundle to take the domain from")
    check_place(out, overwrite=overwrite)
    loaded = load_bundle(bundle)
    if recipe is None:
        domain = load_bundle(str(of)).domain
        if domain is None:
            raise TrainingError(f"the bundle {of} has no domain to take over")
    else:
        domain = fit_domain(recipe, progress=progress)
    text = (
        f"A mixture of {len(domain.mean)} normal distributions over the five brightness "
        f"temperatures; a pixel is out of domain beyond a distance of {domain.limit:.1f}, which "
        f"{_OUTSIDE:.1%} of the pixels of unseen fields exceed.\n"
    )
    return attach(loaded, domain.files(), out, card=(CARD_HEADING, text), overwrite=overwrite)


def _drawn(count: int, split: Split, seed: int) -> Float32Array:
    """Draw brightness temperatures (5, pixel) of clear pixels."""
    recipe = FieldRecipe(count=count, seed=seed, split=split, shape=_SHAPE, gap_share=0.0)
    parts = []
    for number, field in enumerate(draw_fields(recipe)):
        rng = np.random.default_rng([seed, number, 83])
        kelvin = field.brightness_temperature.reshape(-1, N_COORDINATES)
        kelvin = kelvin[np.isfinite(kelvin).all(axis=1)]
        parts.append(kelvin[rng.choice(len(kelvin), min(_PER_FIELD, len(kelvin)), replace=False)])
    return np.ascontiguousarray(np.concatenate(parts).T)


def fit_mixture(kelvin: Float32Array, parts: int, rounds: int, *, seed: int) -> Domain:
    """Fit a mixture of normal distributions.

    Parameters
    ----------
    kelvin : ndarray (5, pixel), float32, K
    parts, rounds : int
    seed : int

    Returns
    -------
    Domain
        Its limit is infinite.
    """
    points = coordinates(kelvin).T.astype(np.float64)
    rng = np.random.default_rng(seed)
    mean = points[rng.choice(len(points), parts, replace=False)]
    whole = np.cov(points.T) + np.eye(N_COORDINATES) * _NARROWEST_K**2
    covariance = np.repeat(whole[np.newaxis] / parts, parts, axis=0)
    weight = np.full(parts, 1.0 / parts)
    for _ in range(rounds):
        share = _shares(points, mean, covariance, weight)
        total = share.sum(axis=0) + 1e-9
        weight = total / total.sum()
        mean = (share.T @ points) / total[:, np.newaxis]
        for part in range(parts):
            away = points - mean[part]
            covariance[part] = (share[:, part, np.newaxis] * away).T @ away / total[part]
            covariance[part] += np.eye(N_COORDINATES) * _NARROWEST_K**2
    return _domain(mean, covariance, weight)


def _domain(mean: Any, covariance: Any, weight: Any) -> Domain:
    root = np.linalg.cholesky(np.linalg.inv(covariance))
    offset = np.linalg.slogdet(covariance)[1] - 2.0 * np.log(weight)
    return Domain(
        np.asarray(mean, np.float32),
        np.asarray(root, np.float32),
        np.asarray(offset, np.float32),
        float("inf"),
    )


def _shares(points: Any, mean: Any, covariance: Any, weight: Any) -> NDArray[np.float64]:
    """Return the share (pixel, part) that each part has in a pixel."""
    score = np.empty((len(points), len(mean)))
    for part, (root, offset) in enumerate(
        zip(np.linalg.cholesky(np.linalg.inv(covariance)),
            np.linalg.slogdet(covariance)[1] - 2.0 * np.log(weight), strict=True)
    ):  # fmt: skip
        turned = (points - mean[part]) @ root
        score[:, part] = -0.5 * ((turned**2).sum(axis=1) + offset)
    score -= score.max(axis=1, keepdims=True)
    share = np.exp(score)
    return np.asarray(share / share.sum(axis=1, keepdims=True))
