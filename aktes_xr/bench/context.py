"""What the surroundings are worth: one network per set of windows, on the same pixels.

Statistics of the windows that a network is not to see are held at their centre, so that all
networks have the same size, the same pixels and the same order of them. Each is judged on pixels
of other air and other surfaces, with all ancillaries and without the emissivity prior. Few pixels
are taken of many fields: a network that sees the same thousand fields epoch after epoch learns them
by heart, the sooner the more of their surroundings it sees.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.learn.architecture import Architecture, fold, keras_model
from aktes_xr.learn.drawing import World, draw
from aktes_xr.learn.evaluation import unseen_pixels
from aktes_xr.learn.pixels import ALL, Sample, keep_only
from aktes_xr.learn.recipe import AncillaryErrors
from aktes_xr.learn.training import Schedule, scaling_of, train
from aktes_xr.models.context import CONTEXT, N_CONTEXT
from aktes_xr.models.features import N_OUTPUTS, REFERENCE, TEACHER_FEATURES

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array
    from aktes_xr.models.network import Network
    from aktes_xr.models.pixel_model import Scaling

_LOGGER = logging.getLogger(__name__)
_FIRST: Final = TEACHER_FEATURES.index(CONTEXT[0])
_SEEN: Final[dict[str, tuple[str, ...]]] = {
    "the pixel alone": (),
    "means over 11": ("mean_excess", "11"),
    "3": ("", "3"),
    "5": ("", "5"),
    "11": ("", "11"),
    "3 and 11": ("", "3", "11"),
    "3, 5 and 11": ("", "3", "5", "11"),
}
"""Sets: the statistic's first letters (empty: all), and the windows' sides."""
ALL_WINDOWS: Final = "3, 5 and 11"
ALONE: Final = "the pixel alone"
_GIVEN: Final = {"all": ALL, "no prior": ALL - {"emissivity_prior"}}
_UNITS: Final = (128, 128, 128)
_SEED: Final = 77
_PER_FIELD: Final = 100


@dataclass(frozen=True, eq=False)
class _Blinkered(Sample):
    """A sample of which some features are held at their centre."""

    hidden: tuple[int, ...] = ()

    def inputs(self, scaling: Scaling) -> Float32Array:
        out = super().inputs(scaling)
        out[:, list(self.hidden)] = 0.0
        return out

    def dropped(self, rng: np.random.Generator) -> _Blinkered:
        plain = super().dropped(rng)
        return _Blinkered(plain.quantities, plain.truth, self.hidden)


def hidden_features(windows: str) -> tuple[int, ...]:
    """Return the places of the features that a network does not see.

    Parameters
    ----------
    windows : str
        One of the sets, such as ``"3 and 11"``.

    Returns
    -------
    tuple of int
        Places in `aktes_xr.models.features.TEACHER_FEATURES`.
    """
    kind, *sides = _SEEN[windows] or ("",)
    return tuple(
        _FIRST + place
        for place in range(N_CONTEXT)
        if not (CONTEXT[place].startswith(kind) and CONTEXT[place].rsplit("_", 1)[1] in sides)
    )


def run(*, quick: bool) -> BenchResult:
    """Train and judge one network per set.

    Parameters
    ----------
    quick : bool
        A tenth of the pixels.

    Returns
    -------
    BenchResult
    """
    size, epochs = (100_000, 3) if quick else (1_000_000, 5)
    world = World("train", _SEED, (0.05, 0.3), errors=AncillaryErrors(), per_field=_PER_FIELD)
    training, _ = draw(size, world)
    scaling = scaling_of(training, np.random.default_rng(_SEED), terrain=False)
    held = unseen_pixels(20_000 if quick else 100_000, "P")
    rows: list[tuple[Any, ...]] = []
    errors: dict[str, tuple[float, ...]] = {}
    for windows in _SEEN:
        hidden = hidden_features(windows)
        blinkered = _Blinkered(training.quantities, training.truth, hidden)
        network = _trained(blinkered, scaling, epochs)
        errors[windows] = _errors(network, held.quantities, held.truth, scaling, hidden)
        _LOGGER.info("%s: %s", windows, errors[windows])
        alone = errors[ALONE]
        rows.append((windows, *errors[windows], *(errors[windows][k] / alone[k] for k in (0, 2))))
    table = Table(
        f"protocol P, {size:,} pixels, {epochs} epochs: mean absolute errors",
        ("windows", "T, all (K)", "e, all", "T, no prior (K)", "e, no prior", "T / alone, all",
         "T / alone, no prior"),
        rows,
    )  # fmt: skip
    best, pixel = errors[ALL_WINDOWS], errors[ALONE]
    checks = [
        Check.at_most(f"all windows over the pixel alone, T, {name}", best[k] / pixel[k], 0.95, "1")
        for name, k in (("all", 0), ("no prior", 2))
    ]
    return BenchResult(checks, [table])


def _trained(sample: Sample, scaling: Scaling, epochs: int) -> Network:
    architecture = Architecture(_UNITS, activation="silu")
    few = Sample(sample.quantities[:1000], sample.truth[:1000])
    with tempfile.TemporaryDirectory() as scratch:
        model = train(
            keras_model(architecture, len(TEACHER_FEATURES), "teacher"),
            (sample, few),
            scaling,
            Schedule(epochs, 1024, 2e-3, seed=_SEED),
            directory=Path(scratch),
        )
    return fold(model, architecture)


def _errors(
    network: Network,
    quantities: Float32Array,
    truth: Float32Array,
    scaling: Scaling,
    hidden: tuple[int, ...],
) -> tuple[float, ...]:
    """Mean absolute errors of temperature (K) and emissivity, for each of `_GIVEN`."""
    found: list[float] = []
    for kept in _GIVEN.values():
        told = keep_only(quantities, kept)
        raw = network.predict(_Blinkered(told, truth, hidden).inputs(scaling))[:, :N_OUTPUTS]
        estimate = raw * scaling.output_scale + scaling.output_center
        estimate[:, 0] += told[:, REFERENCE]
        error = np.abs(estimate - truth)
        found += [float(error[:, 0].mean()), float(error[:, 1:].mean())]
    return tuple(found)
