"""How well a bundle does on pixels it never saw, by stratum: the rows behind its model card."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aktes_xr.learn.drawing import World, draw
from aktes_xr.learn.evaluation import (
    ANCILLARY_SETS,
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
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array
    from aktes_xr.learn.recipe import Recipe
    from aktes_xr.learn.region import Region
    from aktes_xr.models import Fusion, PixelModel

    Estimate = tuple[Float32Array, Float32Array]

TEST_SAMPLES: Final = 30_000
SKY_VIEW_EDGES: Final = (0.0, 0.7, 0.88, 0.96, 0.99, 1.01)
EVERY: Final = "all ancillaries"


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
            sky_view_stratum(low, high): (sky_view >= low) & (sky_view < high)
            for low, high in pairwise(SKY_VIEW_EDGES)
        }
        rows = [
            score_row((where, method, EVERY, stratum), estimate, sample.truth, members)
            for stratum, members in strata.items()
            for method, estimate in methods.items()
        ]
        kept = tuple(row for row in rows if row["n"] >= 100)
        return cls(kept if region is not None else (*_flat_rows(teacher), *kept))

    @classmethod
    def from_bytes(cls, text: bytes) -> Evidence:
        """Read what `to_bytes` wrote.

        Parameters
        ----------
        text : bytes
            JSON.

        Returns
        -------
        Evidence
        """
        return cls(tuple(json.loads(text)))

    def to_bytes(self) -> bytes:
        """Return the rows as JSON."""
        return (json.dumps(self.rows, indent=1) + "\n").encode()


def sky_view_stratum(low: float, high: float) -> str:
    """Name the pixels that see a share of the sky.

    Parameters
    ----------
    low, high : float, 1
        Edges of the class.

    Returns
    -------
    str
    """
    return f"sky view {low:g}-{min(high, 1.0):g}"


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
                "ancillaries": EVERY if given == "all" else given,
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
