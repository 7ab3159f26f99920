"""Evidence and model card: how well a bundle does on pixels it never saw, by stratum."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr import sensor
from aktes_xr.cube import (
    DEFAULT_AIR_TEMPERATURE_ERROR_K,
    DEFAULT_EMISSIVITY_ERROR,
    DEFAULT_WATER_VAPOR_ERROR,
)
from aktes_xr.learn.drawing import World, draw
from aktes_xr.learn.evaluation import (
    ANCILLARY_SETS,
    NEDT_K,
    OVERALL,
    PER_FIELD,
    score_strata,
    strata,
    unseen_pixels,
)
from aktes_xr.learn.pixels import keep_only
from aktes_xr.models.features import SKY_VIEW_FACTOR
from aktes_xr.models.fusion import fuse
from aktes_xr.simulate.atmospheres import Protocol
from aktes_xr.terrain.complexity import complexity_k
from aktes_xr.validation.metrics import scores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array
    from aktes_xr.learn.recipe import Recipe
    from aktes_xr.learn.region import Region
    from aktes_xr.models import Fusion, PixelModel

    Estimate = tuple[Float32Array, Float32Array]

TEST_SAMPLES: Final = 30_000
SKY_VIEW_EDGES: Final = (0.0, 0.7, 0.88, 0.96, 0.99, 1.01)
_EVERY: Final = "all ancillaries"
_COLUMNS: Final = ("mae", "bias", "rmse", "pcc", "coverage68", "coverage95")


@dataclass(frozen=True)
class Evidence:
    """Scores on the test split: unseen atmospheres and surfaces.

    Attributes
    ----------
    rows : tuple of dict
        Sample, method, ancillaries, stratum, and scores of temperature and emissivity.
    """

    rows: tuple[dict[str, Any], ...]

    @classmethod
    def of_teacher(cls, teacher: PixelModel) -> Evidence:
        """Score a teacher on flat ground, by ancillaries, water vapour and surface.

        Parameters
        ----------
        teacher : PixelModel
            The trained teacher.

        Returns
        -------
        Evidence
        """
        return cls(tuple(_flat_rows(teacher)))

    @classmethod
    def of_bundle(
        cls,
        teacher: PixelModel,
        student: PixelModel,
        fusion: Fusion,
        recipe: Recipe,
        *,
        region: Region | None = None,
    ) -> Evidence:
        """Score a teacher on flat ground, and all three methods in terrain by sky view.

        With a region, the methods are scored in its terrain alone.

        Parameters
        ----------
        teacher, student : PixelModel
            The two networks.
        fusion : Fusion
            How they are weighed by terrain.
        recipe : Recipe
            What was trained, and on what.
        region : Region, optional
            The region that the student is for.

        Returns
        -------
        Evidence
        """
        world = World(
            "test",
            recipe.seed + 1,
            recipe.nedt_k,
            terrain=True,
            locality=None if region is None else region.locality,
            per_field=PER_FIELD,
        )
        sample, _ = draw(TEST_SAMPLES, world)
        where = "terrain" if region is None else f"terrain, {region.name}"
        sky_view = sample.quantities[:, SKY_VIEW_FACTOR]
        methods = {
            "teacher": teacher.predict(sample.quantities),
            "student": student.predict(sample.quantities),
        }
        methods["fusion"] = fuse(
            methods["teacher"], methods["student"], fusion, complexity_k(sky_view)
        )
        strata = {"all": np.ones(len(sky_view), bool)}
        strata |= {
            f"sky view {low:g}-{min(high, 1.0):g}": (sky_view >= low) & (sky_view < high)
            for low, high in pairwise(SKY_VIEW_EDGES)
        }
        rows = [
            score_row((where, method, "all ancillaries", stratum), estimate, sample.truth, members)
            for stratum, members in strata.items()
            for method, estimate in methods.items()
        ]
        kept = tuple(row for row in rows if row["n"] >= 100)
        return cls(kept if region is not None else (*_flat_rows(teacher), *kept))

    def to_bytes(self) -> bytes:
        """Return the rows as JSON."""
        return (json.dumps(self.rows, indent=1) + "\n").encode()

    def table(self) -> str:
        """Return the rows as a Markdown table: on flat ground all strata together."""
        head = ("sample", "method", "ancillaries", "stratum", "n")
        names = [f"T {name}" for name in _COLUMNS] + ["e mae", "e coverage68"]
        lines = ["| " + " | ".join((*head, *names)) + " |", "|" + " --- |" * (len(head) + 8)]
        for row in self.rows:
            if not _listed(row):
                continue
            cells = [str(row[name]) for name in head]
            cells += [_cell(row["temperature"][name], 3) for name in _COLUMNS]
            cells += [_cell(row["emissivity"]["mae"], 4), _cell(row["emissivity"]["coverage68"], 3)]
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines)


def _listed(row: dict[str, Any]) -> bool:
    flat = str(row["sample"]).startswith("flat")
    return not flat or row["stratum"] == OVERALL


def _cell(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _flat_rows(teacher: PixelModel) -> list[dict[str, Any]]:
    """Score a teacher on the pixels of the accuracy benchmark, each set of ancillaries."""
    protocols: tuple[Protocol, ...] = ("G", "P")
    rows = []
    for protocol in protocols:
        pixels = unseen_pixels(TEST_SAMPLES, protocol)
        masks = strata(pixels.simulated)
        for given, kept in ANCILLARY_SETS.items():
            estimate = teacher.predict(keep_only(pixels.quantities, kept))
            labels = {
                "sample": f"flat, {protocol}",
                "method": "teacher",
                "ancillaries": _EVERY if given == "all" else given,
            }
            rows += [
                {
                    **labels,
                    "stratum": stratum,
                    "n": temperature.n,
                    "temperature": temperature.as_dict(),
                    "emissivity": emissivity.as_dict(),
                }
                for stratum, (temperature, emissivity) in score_strata(
                    estimate, pixels, masks
                ).items()
            ]
    return rows


def score_row(
    labels: tuple[str, str, str, str],
    estimate: Estimate,
    truth: Float32Array,
    members: NDArray[np.bool_],
) -> dict[str, Any]:
    """Score an estimate over some pixels, under the labels of sample, method, and so on.

    Parameters
    ----------
    labels : (str, str, str, str)
        Sample, method, ancillaries and stratum.
    estimate : (float32 (pixel, 6), float32 (pixel, 6))
        Means and standard uncertainties: temperature (K), then five emissivities (1).
    truth : float32 (pixel, 6)
        In the same order.
    members : bool (pixel,)
        The pixels that count.

    Returns
    -------
    dict
        One row of the card's table.
    """
    mean, sigma = (part[members] for part in estimate)
    expected = truth[members]
    return {
        **dict(zip(("sample", "method", "ancillaries", "stratum"), labels, strict=True)),
        "n": int(members.sum()),
        "temperature": scores(mean[:, 0], expected[:, 0], sigma=sigma[:, 0]).as_dict(),
        "emissivity": scores(mean[:, 1:], expected[:, 1:], sigma=sigma[:, 1:]).as_dict(),
    }


def model_card(
    recipe: Recipe, models: list[PixelModel], evidence: Evidence, fusion: Fusion | None
) -> str:
    """Write a bundle's model card.

    Parameters
    ----------
    recipe : Recipe
    models : list of PixelModel
    evidence : Evidence
    fusion : Fusion or None

    Returns
    -------
    str
        Markdown.
    """
    networks = "\n".join(
        f"- **{model.name}** ({model.role}): layers of "
        f"{', '.join(str(layer.bias.shape[0]) for layer in model.network.layers)} units, "
        f"{model.network.multiplications} multiplications per pixel"
        for model in models
    )
    fused = (
        "None: this bundle has no student."
        if fusion is None
        else f"Student from {fusion.start_k:g} K of terrain complexity, alone from "
        f"{fusion.full_k:g} K; sharpness {fusion.sharpness:g}, share on flat ground "
        f"{fusion.floor:g}. Fitted over all structures, in terrain and on level ground, with all, "
        "some and no ancillaries."
    )
    versions = ", ".join(f"{name} {found}" for name, found in _versions().items())
    return f"""# Model card

Surface temperature and emissivity of the five ASTER thermal bands ({", ".join(sensor.BANDS)}),
each with a standard uncertainty, from brightness temperatures, what lies around the pixel, and
whatever ancillaries there are.

## Intended use

Clear-sky ASTER Level-1T scenes over land, inland water and sea, by day and by night, at 90 m; view
zenith to 15 degrees. For maps, time series and comparison with other products, with the stated
uncertainty and the flags. Not for clouds, fire, metal roofs or single pixels that decide something
by themselves.

## Limits

- No cloud detection: a cloudy pixel yields the cloud's temperature, or nonsense.
- Trained and tested on simulations only; what the simulations share with no pixel on Earth, the
  networks share with them. Inputs beyond the training range are flagged `out_of_domain`.
- Clear sky without aerosol or thin cirrus.
- An ancillary is believed as far as its stated error says. One that is wrong by several times that
  error misleads, the emissivity prior most of all.
- Above 40 kg m-2 of water there are few real profiles to learn from: too cold there by half a
  kelvin and more, and the stated uncertainty is too narrow.
- The teacher takes the ground for flat; without an elevation model its error grows in terrain.

## Scores

T in K, e without unit; coverage68 and coverage95 are the shares of errors within 1 and 1.96 stated
standard uncertainties. Flat, G: atmospheres and surfaces that training never saw. Flat, P: the six
model atmospheres with scaled water, any surface, pixels that training never saw. Both as fields
that share one atmosphere, all structures in equal shares, with noise of {NEDT_K:g} K at 300 K,
water column to {100 * DEFAULT_WATER_VAPOR_ERROR:g} %,
air temperature to {DEFAULT_AIR_TEMPERATURE_ERROR_K:g} K,
emissivity prior to {DEFAULT_EMISSIVITY_ERROR:g};
"alone" is without surroundings. `aktes bench accuracy` makes these rows again, beside the physics
baselines, and `aktes bench worlds` judges them in a world of another simulator; `metrics.json` has
all strata: water, structure, surface.

{evidence.table()}

## Networks

{networks}

The teacher's architecture comes from an AutoKeras search (`leaderboard.json`); where its best
trials trained on before one was chosen, `finals.json` has their scores.

## Fusion

{fused}

## Data

Simulated fields of many structures: radiative transfer over the shipped atmospheres, emissivities
of the shipped prior, noise of {recipe.nedt_k[0]:g}-{recipe.nedt_k[1]:g} K at 300 K, correlated as
the product's resampling leaves it, ancillaries with errors (some of them larger than stated) and
random drop-out. Real profiles and endmember surfaces are divided once: training, validation and
test share none of either. A share of {recipe.teacher.model_atmospheres:g} of the teacher's training
pixels has one of the six model atmospheres and any surface instead. Training:
{recipe.teacher.samples} flat pixels in each of {recipe.teacher.epochs} epochs for the teacher,
{recipe.student.samples} in each of {recipe.student.epochs}, most of them in terrain, for a student.
Validation chose the architecture and calibrated variances and fusion.

## Recipe

`{recipe.name}`, seed {recipe.seed}; all settings in `recipe.json`. Trained with {versions}.
The networks are described for catalogues in `mlm.json`.
"""


def _versions() -> Mapping[str, str]:
    found = {"Python": platform.python_version()}
    for name in ("keras", "autokeras", "numpy"):
        found[name] = version(name)
    return found
