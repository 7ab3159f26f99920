"""The model card: what a bundle is for, what it cannot do, and one short table of scores."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aktes_xr import sensor
from aktes_xr.cube import (
    DEFAULT_AIR_TEMPERATURE_ERROR_K,
    DEFAULT_EMISSIVITY_ERROR,
    DEFAULT_WATER_VAPOR_ERROR,
)
from aktes_xr.learn.evaluation import NEDT_K, OVERALL
from aktes_xr.learn.evidence import EVERY, SKY_VIEW_EDGES, Evidence, sky_view_stratum

if TYPE_CHECKING:
    from aktes_xr.learn.history import History
    from aktes_xr.learn.recipe import Recipe
    from aktes_xr.models import Fusion, PixelModel

ATTACHED: Final = ("## Cloud test", "## Domain")
"""Headings of what may lie beside a bundle's networks; a card that is written anew keeps them."""
_WIDTH: Final = 100
_METHODS: Final = ("teacher", "student", "fusion")
_COLUMNS: Final = (
    *("where, and what is told", "teacher, K", "student, K", "fusion, K"),
    *("emissivity", "68 %", "95 %"),
)
_CASES: Final = (
    ("level ground, unseen air and surfaces; all told", "flat, G", EVERY, OVERALL),
    ("the same without an emissivity prior", "flat, G", "no prior", OVERALL),
    ("the same with nothing told", "flat, G", "nothing", OVERALL),
    ("level ground, the six model atmospheres; all told", "flat, P", EVERY, OVERALL),
    ("relief, unseen air and surfaces; all told", "terrain", EVERY, OVERALL),
    (
        f"of it where less than {SKY_VIEW_EDGES[1]:g} of the sky is seen",
        "terrain",
        EVERY,
        sky_view_stratum(*SKY_VIEW_EDGES[:2]),
    ),
    (
        f"of it where more than {SKY_VIEW_EDGES[-2]:g} is seen",
        "terrain",
        EVERY,
        sky_view_stratum(*SKY_VIEW_EDGES[-2:]),
    ),
)


@dataclass(frozen=True)
class Networks:
    """What a card describes: the networks, how they are fused, and how they were trained."""

    models: Sequence[PixelModel]
    fusion: Fusion | None
    histories: Sequence[History] = ()


def model_card(recipe: Recipe, networks: Networks, evidence: Evidence) -> str:
    """Write a bundle's model card.

    Parameters
    ----------
    recipe : Recipe
        What it was trained by.
    networks : Networks
    evidence : Evidence
        Of which a few rows are shown.

    Returns
    -------
    str
        Markdown: intended use and limits first, one short table, then what it was made of.
    """
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

- Cloud that no mask and no cloud test finds yields the cloud's temperature, or nonsense. A bundle
  with a cloud test describes it in a section of its own below.
- Trained and tested on simulations only; what the simulations share with no pixel on Earth, the
  networks share with them. Inputs beyond the training range are flagged `out_of_domain`.
- Clear sky without aerosol or thin cirrus.
- An ancillary is believed as far as its stated error says. One that is wrong by several times that
  error misleads, the emissivity prior most of all.
- Above 40 kg m-2 of water there are few real profiles to learn from: too cold there by half a
  kelvin and more, and the stated uncertainty is too narrow.
- The teacher takes the ground for flat; without an elevation model its error grows in terrain.

## How good it is

Mean absolute errors on simulated pixels that training never saw. The last two columns are the
shares (%) of temperature errors within 1 and 1.96 stated standard uncertainties: 68 and 95 if those
hold. Emissivity and shares are the fusion's in relief, else the teacher's.

{short_table(evidence.rows)}

{_told(len(evidence.rows))}

## What it is made of

{_described(networks)}

{_trained(recipe, networks)}

Real profiles and endmember surfaces are divided once: training, validation and test share none.
Validation chose the architecture and calibrated variances and fusion.

Files beside this card: `metrics.json`, `recipe.json` (all settings), `leaderboard.json` (the
search), `history.json` (loss and validation error of each epoch, where it was kept), `mlm.json`
(for catalogues). `aktes train card --figures DIR` draws the search, the losses and how reliable the
probability of cloud is.
"""


def short_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the few rows that say most, as a Markdown table.

    Parameters
    ----------
    rows : sequence of mapping
        Of `Evidence`.

    Returns
    -------
    str
        Cases that were not scored are left out.
    """
    known: dict[tuple[str, ...], dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        case = row["sample"], row["ancillaries"], row["stratum"]
        known.setdefault(case, {})[row["method"]] = row
    lines = ["| " + " | ".join(_COLUMNS) + " |", "| --- |" + " ---: |" * (len(_COLUMNS) - 1)]
    for words, *labels in (*_CASES, *_regions(rows)):
        found = known.get(tuple(labels))
        if not found:
            continue
        shown = found.get("fusion", next(iter(found.values())))
        cells = [
            f"{found[method]['temperature']['mae']:.2f}" if method in found else ""
            for method in _METHODS
        ]
        cells.append(f"{shown['emissivity']['mae']:.4f}")
        cells += [
            f"{100 * shown['temperature'][name]:.0f}" for name in ("coverage68", "coverage95")
        ]
        lines.append("| " + " | ".join((words, *cells)) + " |")
    return "\n".join(lines)


def _regions(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str, str]]:
    """Name the regions that were scored."""
    for sample in dict.fromkeys(str(row["sample"]) for row in rows):
        if sample.startswith("terrain, "):
            name = sample.removeprefix("terrain, ")
            yield f"relief of {name}; all told", sample, EVERY, OVERALL


def _described(networks: Networks) -> str:
    lines = [
        f"- **{model.name}** ({model.role}): layers of "
        f"{', '.join(str(layer.bias.shape[0]) for layer in model.network.layers)} units, "
        f"{model.network.multiplications} multiplications per pixel"
        for model in networks.models
    ]
    fusion = networks.fusion
    if fusion is None:
        lines.append("- **fusion**: none, there is no student")
    else:
        lines.append(
            f"- **fusion**: student from {fusion.start_k:g} K of terrain complexity, alone from "
            f"{fusion.full_k:g} K; sharpness {fusion.sharpness:g}, share on flat ground "
            f"{fusion.floor:g}"
        )
    return "\n".join(lines)


def _told(rows: int) -> str:
    return wrapped(
        f"Told are the water column to {100 * DEFAULT_WATER_VAPOR_ERROR:g} %, air temperature to "
        f"{DEFAULT_AIR_TEMPERATURE_ERROR_K:g} K and an emissivity prior to "
        f"{DEFAULT_EMISSIVITY_ERROR:g}; noise is {NEDT_K:g} K at 300 K. `metrics.json` has all "
        f"{rows} rows, by ancillaries, water column, structure, surface and sky view, with bias, "
        "root mean square and correlation. `aktes bench accuracy` makes such rows anew beside the "
        "physics baselines, and `aktes bench worlds` judges in a world of another simulator."
    )


def _trained(recipe: Recipe, networks: Networks) -> str:
    teacher, student = recipe.teacher, recipe.student
    words = (
        f"Trained by the recipe `{recipe.name}` (seed {recipe.seed}) on simulated fields of many "
        "structures: radiative transfer over the shipped atmospheres, emissivities of the shipped "
        f"prior, noise of {recipe.nedt_k[0]:g} to {recipe.nedt_k[1]:g} K at 300 K, ancillaries "
        "with errors (some larger than stated) and random drop-out. The teacher's architecture "
        f"comes from an AutoKeras search. It saw {teacher.samples:,} flat pixels in each of "
        f"{teacher.epochs} epochs, a share of {teacher.model_atmospheres:g} of them under the six "
        f"model atmospheres. A student sees {student.samples:,} in each of {student.epochs}, most "
        "of them in terrain."
    )
    return "\n\n".join([wrapped(words), *map(_ended, networks.histories)])


def _ended(history: History) -> str:
    used = ", ".join(f"{name} {found}" for name, found in history.versions.items())
    return wrapped(
        f"The {history.network} was trained with {used}. Its error over the validation sample, "
        f"with ancillaries left out by chance, was {history.validation_mae_k[0]:.3f} K after the "
        f"first epoch and {history.validation_mae_k[-1]:.3f} K after the last."
    )


def wrapped(text: str) -> str:
    """Fill a paragraph's lines.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
    """
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def with_section(card: str, heading: str, text: str) -> str:
    """Add a section to a card; one of the same heading is replaced.

    Parameters
    ----------
    card : str
        Markdown.
    heading : str
        A line that begins with ``##``.
    text : str

    Returns
    -------
    str
    """
    kept = "".join(part for part in _sections(card) if _heading(part) != heading)
    return f"{kept.rstrip()}\n\n{heading}\n\n{text}"


def with_attached(card: str, old: str) -> str:
    """Take over an older card's sections on what lies beside the networks.

    Parameters
    ----------
    card : str
        A card written anew.
    old : str
        The one that it replaces.

    Returns
    -------
    str
    """
    for part in _sections(old):
        if _heading(part) in ATTACHED:
            card = with_section(card, _heading(part), part.partition("\n")[2].strip("\n") + "\n")
    return card


def _sections(card: str) -> list[str]:
    """Cut a card before each heading of the second level."""
    found = [""]
    for line in card.splitlines(keepends=True):
        if line.startswith("## "):
            found.append("")
        found[-1] += line
    return found


def _heading(part: str) -> str:
    first = part.partition("\n")[0].strip()
    return first if first.startswith("## ") else ""
