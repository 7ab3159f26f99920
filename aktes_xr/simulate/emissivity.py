"""The prior of natural surfaces: which emissivities a 90 m pixel of land has, and how often.

A library is no prior: it is mostly pure minerals, and measured soils are missing. Here a pixel is
of one class (vegetation, soil, sand, rock, water, snow and ice, manmade); its spectrum is a linear
mixture of endmembers of the components that make up the class, in Dirichlet-distributed parts,
so that soils are mixtures of quartz, clay, carbonate, mafic fines and organic matter and everything
may be partly vegetated; a rough surface is a little blacker than its parts (cavity effect); and
pixels of one class scatter. A tenth of all pixels are no mixtures: bare rock, gravel or building
material as a laboratory has measured it. Training, validation and test draw from disjoint
endmembers, except for water and ice, which have one spectrum: that toward the sensor
(`aktes_xr.radiative.water`).
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from aktes_xr.baselines.tes import MMD_GILLESPIE
from aktes_xr.errors import InputError
from aktes_xr.radiative.water import ice_emissivity, water_emissivity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Split = Literal["train", "validation", "test"]
SPLITS: Final = ("train", "validation", "test")


@dataclass(frozen=True)
class SurfaceClass:
    """How pixels of one class are mixed.

    Attributes
    ----------
    name : str
    weight : float
        Its share of land pixels.
    mixture : tuple of (component, alpha)
        Dirichlet parameters; a component listed twice is drawn twice.
    open_fraction : (float, float)
        Range of the fraction of the hemisphere a facet sees as sky: 1 is smooth.
    """

    name: str
    weight: float
    mixture: tuple[tuple[str, float], ...]
    open_fraction: tuple[float, float]


CLASSES: Final[tuple[SurfaceClass, ...]] = (
    SurfaceClass(
        "vegetation",
        0.36,
        (
            ("green", 5.0),
            ("green", 3.0),
            ("dry", 0.8),
            ("clay", 0.8),
            ("quartz", 0.2),
            ("organic", 0.5),
        ),
        (0.30, 0.90),
    ),
    SurfaceClass(
        "soil",
        0.25,
        (
            ("clay", 2.0),
            ("clay", 1.0),
            ("quartz", 0.8),
            ("carbonate", 0.4),
            ("mafic", 0.4),
            ("organic", 1.0),
            ("dry", 0.5),
            ("green", 0.8),
        ),
        (0.50, 1.00),
    ),
    SurfaceClass(
        "sand",
        0.07,
        (("quartz", 3.0), ("quartz", 2.0), ("clay", 0.8), ("carbonate", 0.4), ("dry", 0.3)),
        (0.70, 1.00),
    ),
    SurfaceClass(
        "rock",
        0.12,
        (
            ("rock", 0.8),
            ("rock", 0.6),
            ("mafic", 0.7),
            ("carbonate", 0.4),
            ("clay", 0.6),
            ("green", 0.5),
        ),
        (0.60, 1.00),
    ),
    SurfaceClass(
        "water",
        0.08,
        (("water", 40.0), ("foam", 0.2), ("clay", 0.15), ("green", 0.15)),
        (0.98, 1.00),
    ),
    SurfaceClass(
        "snow_ice",
        0.07,
        (
            ("snow", 5.0),
            ("snow", 3.0),
            ("ice", 0.8),
            ("rock", 0.2),
            ("mafic", 0.2),
            ("green", 0.3),
        ),
        (0.90, 1.00),
    ),
    SurfaceClass(
        "manmade",
        0.05,
        (("manmade", 1.5), ("manmade", 1.5), ("manmade", 1.0), ("green", 1.0), ("clay", 0.5)),
        (0.55, 1.00),
    ),
)
CLASS_NAMES: Final = tuple(surface.name for surface in CLASSES)
RAW_SHARE: Final = 0.10
"""Of all pixels, those of a single measured endmember."""
RAW: Final[dict[str, tuple[str, ...]]] = {
    "soil": ("bare", "clay"),
    "sand": ("quartz", "bare"),
    "rock": ("bare", "rock", "mafic", "carbonate"),
    "manmade": ("manmade",),
}
"""Components whose endmembers also stand alone, by class."""
RAW_FLOOR: Final = 0.60
"""A metal is no land surface: an endmember below this in any band never stands alone."""
RAW_CLASS_SHARE: Final = RAW_SHARE / sum(s.weight for s in CLASSES if s.name in RAW)
"""The same, of the classes that have such pixels."""

# Relative scatter of 1 - e about the mixture: grain size, moisture, weathering.
_SCATTER_COMMON: Final = 0.10
_SCATTER_BAND: Final = 0.05
_RAW_SCATTER: Final = 0.02
_WATER_SCATTER: Final = 0.03
_EMISSIVITY_FLOOR: Final = 0.50
_EMISSIVITY_CEILING: Final = 0.998


@dataclass(frozen=True, eq=False)
class EmissivityPrior:
    """Endmembers by component and split, and the classes that mix them.

    Attributes
    ----------
    endmembers : dict of (component, split) to ndarray (k, 5), float32, 1
        Band emissivities in the order of `aktes_xr.sensor.BANDS`.
    libraries : dict of library to dict with title, citation and licence
    rows : tuple of dict
        As shipped: component, split, name, library, emissivity.
    classes : tuple of SurfaceClass
    """

    endmembers: dict[tuple[str, str], NDArray[np.float32]]
    libraries: dict[str, dict[str, str]]
    rows: tuple[dict[str, Any], ...]
    classes: tuple[SurfaceClass, ...] = CLASSES

    def draw(
        self,
        rng: np.random.Generator,
        surface: SurfaceClass,
        size: int,
        *,
        split: Split,
        alone: float = RAW_CLASS_SHARE,
    ) -> NDArray[np.float32]:
        """Draw spectra of one class: mixtures, and single endmembers.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of the numbers.
        surface : SurfaceClass
            The class.
        size : int
            Number of spectra.
        split : Split
            Whose endmembers to draw from.
        alone : float, 1
            Share of single endmembers, in a class that has them.

        Returns
        -------
        ndarray (size, 5), float32, 1
        """
        alphas = np.array([alpha for _, alpha in surface.mixture], dtype=np.float32)
        fractions = rng.standard_gamma(alphas, size=(size, alphas.size), dtype=np.float32)
        fractions /= fractions.sum(axis=1, keepdims=True)
        emissivity = np.zeros((size, 5), dtype=np.float32)
        for column, (component, _) in enumerate(surface.mixture):
            pool = self.endmembers[component, split]
            emissivity += (
                fractions[:, column : column + 1] * pool[rng.integers(len(pool), size=size)]
            )
        if surface.name == "water":
            return _scattered(emissivity, rng, common=_WATER_SCATTER, band=0.0)
        emissivity = _roughen(emissivity, surface.open_fraction, rng)
        if surface.name in RAW:
            single = rng.random(size) < alone
            emissivity[single] = self.draw_raw(rng, surface, int(single.sum()), split=split)
        return emissivity

    def draw_raw(
        self, rng: np.random.Generator, surface: SurfaceClass, size: int, *, split: Split
    ) -> NDArray[np.float32]:
        """Draw spectra of single endmembers that stand alone in a class.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of the numbers.
        surface : SurfaceClass
            The class.
        size : int
            Number of spectra.
        split : Split
            Whose endmembers to draw from.

        Returns
        -------
        ndarray (size, 5), float32, 1
        """
        pool = np.concatenate([self.endmembers[part, split] for part in RAW[surface.name]])
        pool = pool[pool.min(axis=1) >= RAW_FLOOR]
        chosen = pool[rng.integers(len(pool), size=size)]
        return _scattered(chosen, rng, common=_RAW_SCATTER, band=_RAW_SCATTER)


def _roughen(
    emissivity: NDArray[np.float32], open_fraction: tuple[float, float], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Apply the cavity effect, ``e / (1 - (1 - e)(1 - f))`` with open fraction f, and scatter."""
    size = emissivity.shape[0]
    seen = rng.uniform(*open_fraction, size=(size, 1)).astype(np.float32)
    rough = emissivity / (1 - (1 - emissivity) * (1 - seen))
    return _scattered(rough, rng, common=_SCATTER_COMMON, band=_SCATTER_BAND)


def _scattered(
    emissivity: NDArray[np.float32], rng: np.random.Generator, *, common: float, band: float
) -> NDArray[np.float32]:
    """Scatter ``1 - e`` by relative standard deviations common to the bands and of each band."""
    size = emissivity.shape[0]
    spread = rng.standard_normal((size, 1), dtype=np.float32) * np.float32(common)
    spread = spread + rng.standard_normal((size, 5), dtype=np.float32) * np.float32(band)
    reflectivity = (1 - emissivity) * np.exp(spread)
    return np.asarray(np.clip(1 - reflectivity, _EMISSIVITY_FLOOR, _EMISSIVITY_CEILING))


@functools.cache
def load_prior() -> EmissivityPrior:
    """Read the shipped endmembers; made by ``python -m aktes_xr.tables.emissivity``."""
    resource = importlib.resources.files("aktes_xr") / "data" / "emissivity_prior.json"
    document = json.loads(resource.read_text(encoding="utf-8"))
    pools: dict[tuple[str, str], list[list[float]]] = {}
    for row in document["endmembers"]:
        splits = SPLITS if row["split"] == "all" else (row["split"],)
        for split in splits:
            pools.setdefault((row["component"], split), []).append(row["emissivity"])
    for split in SPLITS:
        pools["water", split] = [list(water_emissivity())]
        pools["ice", split] = [list(ice_emissivity())]
    return EmissivityPrior(
        {key: np.array(rows, dtype=np.float32) for key, rows in pools.items()},
        document["libraries"],
        tuple(document["endmembers"]),
    )


def draw_emissivity(
    rng: np.random.Generator, n: int, *, split: Split = "train"
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Draw surfaces from the prior.

    Parameters
    ----------
    rng : numpy.random.Generator
        Advanced.
    n : int
        Number of pixels.
    split : {"train", "validation", "test"}
        Which endmembers: disjoint by surface.

    Returns
    -------
    emissivity : ndarray (n, 5), float32, 1
    surface_class : ndarray (n,), int8
        Index into ``CLASS_NAMES``.

    Raises
    ------
    InputError
        If the split is unknown.
    """
    if split not in SPLITS:
        raise InputError(f"found split {split!r}, expected one of {', '.join(SPLITS)}")
    prior = load_prior()
    weights = np.array([surface.weight for surface in prior.classes])
    surface_class = rng.choice(len(weights), size=n, p=weights / weights.sum()).astype(np.int8)
    emissivity = np.empty((n, 5), dtype=np.float32)
    for number, surface in enumerate(prior.classes):
        members = np.flatnonzero(surface_class == number)
        emissivity[members] = prior.draw(rng, surface, members.size, split=split)
    return emissivity, surface_class


def contrast(emissivity: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the two numbers that the TES algorithm relates.

    Parameters
    ----------
    emissivity : ndarray (..., 5), 1
        Spectra.

    Returns
    -------
    mmd : ndarray (...), 1
        Range of the emissivity over its mean.
    minimum : ndarray (...), 1
        Least emissivity.
    """
    beta = emissivity / emissivity.mean(axis=-1, keepdims=True)
    return np.ptp(beta, axis=-1), emissivity.min(axis=-1)


def prior_figure(*, size: int = 20_000, seed: int = 0) -> Figure:
    """Draw the prior's MMD and minimum emissivity over the published relation.

    The line is the relation of [1]_, from 86 laboratory spectra. The shaded band is the accuracy
    stated there, +-0.015.

    Parameters
    ----------
    size : int
        Number of spectra.
    seed : int
        Seed of the random numbers.

    Returns
    -------
    matplotlib.figure.Figure

    References
    ----------
    .. [1] Gillespie et al. (1998), see `aktes_xr.baselines.tes`.
    """
    from matplotlib.figure import Figure

    emissivity, surface_class = draw_emissivity(np.random.default_rng(seed), size)
    mmd, minimum = contrast(emissivity)
    figure = Figure(figsize=(9, 4), layout="constrained")
    scatter, histogram = figure.subplots(1, 2)
    for number, name in enumerate(CLASS_NAMES):
        members = surface_class == number
        scatter.plot(mmd[members], minimum[members], ".", markersize=1, label=name)
    grid = np.linspace(0, 0.6, 100)
    published = MMD_GILLESPIE[0] - MMD_GILLESPIE[1] * grid ** MMD_GILLESPIE[2]
    scatter.plot(grid, published, "k", linewidth=1, label="Gillespie et al. 1998")
    scatter.fill_between(grid, published - 0.015, published + 0.015, color="k", alpha=0.15)
    scatter.set(xlabel="MMD", ylabel="minimum emissivity", ylim=(0.4, 1), xlim=(0, 0.6))
    scatter.legend(markerscale=8, fontsize=7)
    residual = minimum - (MMD_GILLESPIE[0] - MMD_GILLESPIE[1] * mmd ** MMD_GILLESPIE[2])
    histogram.hist(residual, bins=80, range=(-0.1, 0.1))
    histogram.set(
        xlabel="minimum emissivity - relation",
        ylabel="pixels",
        title=f"mean {residual.mean():+.4f}, standard deviation {residual.std():.4f}",
    )
    return figure
