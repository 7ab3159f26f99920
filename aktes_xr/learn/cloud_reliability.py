"""How reliable a cloud test's probabilities are: what is stated beside what is found, in a card.

The figures are those that ``aktes bench clouds --json FILE`` prints: pixels of scenes that training
never saw, of its own world and of a foreign one, in classes of the stated probability. Cloud is an
absorption optical depth of .3 and more; what is thinner counts as neither.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aktes_xr.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RELIABILITY_FILE: Final = "clouds_reliability.json"
_TABLE: Final = ": reliability"
_COLUMNS: Final = ("told", "probability", "share cloudy", "N")
_N_CLASSES: Final = 10
_COLOURS: Final = ("#1f3a93", "#b3261e", "#3a9188")
_FEWEST: Final = 100
"""A class of fewer pixels is not drawn."""


class ReliabilityClass(NamedTuple):
    """Pixels of like probability: the mean of what is stated, and the share that is cloudy."""

    world: str
    told: str
    stated: float
    found: float
    pixels: int


@dataclass(frozen=True)
class CloudReliability:
    """What a cloud test's probabilities are worth.

    Attributes
    ----------
    classes : tuple of ReliabilityClass
        By world, by what is told, and by probability.
    """

    classes: tuple[ReliabilityClass, ...]

    @classmethod
    def from_benchmark(cls, document: Mapping[str, Any]) -> CloudReliability:
        """Take the classes out of a benchmark's document.

        Parameters
        ----------
        document : mapping
            Of ``aktes bench clouds --json``.

        Returns
        -------
        CloudReliability

        Raises
        ------
        InputError
            It is no such document.
        """
        try:
            found = [
                ReliabilityClass(
                    table["title"].removesuffix(_TABLE), str(told), float(p), float(q), int(n)
                )
                for table in document["tables"]
                if table["title"].endswith(_TABLE) and tuple(table["columns"]) == _COLUMNS
                for told, p, q, n in table["rows"]
            ]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"this is no document of a benchmark ({error}): expected the file that 'aktes "
                "bench clouds --json FILE' writes"
            ) from error
        if not found:
            raise InputError(
                "found no table of reliability: expected the file that 'aktes bench clouds --json "
                "FILE' writes"
            )
        return cls(tuple(found))

    @classmethod
    def from_bytes(cls, text: bytes) -> CloudReliability:
        """Read what `to_bytes` wrote.

        Parameters
        ----------
        text : bytes

        Returns
        -------
        CloudReliability
        """
        return cls(tuple(ReliabilityClass(*row) for row in json.loads(text)))

    def to_bytes(self) -> bytes:
        """Return the classes as JSON."""
        return (json.dumps([list(one) for one in self.classes], indent=1) + "\n").encode()

    @property
    def cases(self) -> tuple[tuple[str, str], ...]:
        """World and what is told, in order."""
        return tuple(dict.fromkeys((one.world, one.told) for one in self.classes))

    def of(self, world: str, told: str) -> list[ReliabilityClass]:
        """Return the classes of a case, by probability.

        Parameters
        ----------
        world, told : str

        Returns
        -------
        list of ReliabilityClass
        """
        return [one for one in self.classes if (one.world, one.told) == (world, told)]

    def calibration_error(self, world: str, told: str) -> float:
        """Return the mean distance of what is stated from what is found, weighed by pixels.

        Parameters
        ----------
        world, told : str

        Returns
        -------
        float, 1
        """
        classes = self.of(world, told)
        total = sum(one.pixels for one in classes)
        return sum(one.pixels * abs(one.stated - one.found) for one in classes) / total

    def table(self) -> str:
        """Return the share that is cloudy by class of probability, as a Markdown table."""
        heads = [f"{world}, told {told}" for world, told in self.cases]
        lines = ["| stated | " + " | ".join(heads) + " |", "| --- |" + " ---: |" * len(heads)]
        for number in range(_N_CLASSES):
            cells = [f"{number / _N_CLASSES:.1f} to {(number + 1) / _N_CLASSES:.1f}"]
            for case in self.cases:
                found = {_class_of(one.stated): one.found for one in self.of(*case)}
                cells.append(f"{found[number]:.2f}" if number in found else "")
            lines.append("| " + " | ".join(cells) + " |")
        errors = [f"{self.calibration_error(*case):.3f}" for case in self.cases]
        lines.append("| mean distance | " + " | ".join(errors) + " |")
        return "\n".join(lines)


def _class_of(stated: float) -> int:
    return min(int(stated * _N_CLASSES), _N_CLASSES - 1)


def reliability_lines(reliability: CloudReliability) -> str:
    """Describe the probabilities' reliability for a bundle's model card.

    Parameters
    ----------
    reliability : CloudReliability

    Returns
    -------
    str
        Markdown.
    """
    return (
        "What share of the pixels is cloudy where so much is stated (absorption optical depth of "
        ".3 and more),\nin simulated scenes that training never saw:\n\n"
        f"{reliability.table()}\n"
    )


def reliability_figure(reliability: CloudReliability) -> Figure:
    """Draw the share of cloudy pixels against the stated probability, a chart for each world.

    Parameters
    ----------
    reliability : CloudReliability

    Returns
    -------
    matplotlib.figure.Figure
        Not registered with pyplot.
    """
    from matplotlib.figure import Figure

    worlds = list(dict.fromkeys(world for world, _ in reliability.cases))
    # One above the other, so that all can be read on a narrow page.
    figure = Figure(figsize=(4.8, 4.4 * len(worlds)), layout="constrained")
    axes = figure.subplots(len(worlds), 1, squeeze=False)[:, 0]
    for axis, world in zip(axes, worlds, strict=True):
        axis.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
        told = [name for where, name in reliability.cases if where == world]
        for name, colour in zip(told, _COLOURS, strict=False):
            drawn = [one for one in reliability.of(world, name) if one.pixels >= _FEWEST]
            axis.plot(
                [one.stated for one in drawn],
                [one.found for one in drawn],
                marker="o",
                markersize=4,
                color=colour,
                label=f"told {name}",
            )
        axis.set_title(world, fontsize="medium")
        axis.set_xlabel("stated probability of cloud")
        axis.set_ylabel("share of the pixels that is cloudy")
        axis.set_xlim(0.0, 1.0)
        axis.set_ylim(0.0, 1.0)
        axis.set_aspect("equal")
        axis.grid(linewidth=0.4, color="0.88")
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize="small", loc="upper left")
    return figure
