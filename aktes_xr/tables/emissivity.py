"""Select the endmembers of the prior: ``python -m aktes_xr.tables.emissivity TABLE``.

The source is a table of response-weighted emissivities, columns ``name, class, library, B10..B14,
note``, made from spectral libraries. Minerals are left out, as are spectra without a name, metals
and land-cover categories that are no spectra; what is left is sorted into the components of natural
surfaces and divided once into training, validation and test endmembers. Rocks that no component
takes, powders finer than what lies on the ground among them, are *bare*: they are in no mixture but
stand alone.

Emissivities must be those toward the sensor. The rows of Huang et al. (2016) are hemispheric,
which for open water and ice lies 0.011 to 0.03 below: water and ice are computed instead
(`aktes_xr.radiative.water`), and snow is taken from the libraries that measured it in one
direction.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from aktes_xr.sensor import BANDS

TARGET: Final = Path(__file__).parents[1] / "data" / "emissivity_prior.json"

LIBRARIES: Final = {
    "ecostress": {
        "prefixes": ["ecostress/", "speclib/"],
        "title": "ECOSTRESS and ASTER spectral libraries",
        "citation": "Baldridge et al. 2009, Remote Sens. Environ. 113, 711-715; "
        "Meerdink et al. 2019, Remote Sens. Environ. 230, 111196",
        "licence": "free use with citation (California Institute of Technology)",
    },
    "slum": {
        "prefixes": ["SLUM/"],
        "title": "Spectral library of impervious urban materials 1.0",
        "citation": "Kotthaus et al. 2014, ISPRS J. Photogramm. 94, 194-212",
        "licence": "CC0",
    },
    "huang": {
        "prefixes": ["Huang2016/"],
        "title": "Global surface spectral emissivity",
        "citation": "Huang et al. 2016, J. Atmos. Sci. 73, 3583-3599",
        "licence": "public data set, cited",
    },
    "crtm": {
        "prefixes": ["CRTM_NPOESS/"],
        "title": "Surface categories of the Community Radiative Transfer Model",
        "citation": "NPOESS land-cover emissivities, CRTM coefficients",
        "licence": "CC0",
    },
}
"""Where the rows come from; the order is that of the tests."""

# Component: what of the source's names belongs to it. The first match counts.
COMPONENTS: Final[tuple[tuple[str, str], ...]] = (
    (
        "green",
        r"^speclib/(Agave|Aloe|Beaucarnea|Caesalpinia|Portulacaria afra 'Low|Portulacaria afra JPL)"
        r"|^Huang2016/(Deciduous|Grass)$|NPOESS/(broadleaf70_pine30|pine_forest|pine_brush"
        r"|broadleaf_forest|irrigated_low)",
    ),
    ("dry", r"Huang2016/Dry grass|NPOESS/(scrub|tundra|broadleaf_brush)$"),
    ("organic", r"NPOESS/(tilled_soil|wet_soil|compacted_soil)$"),
    (
        "quartz",
        r"quartzite\.[123]$|rocks\.16$|sandstone\.rock\.(10|11)$|coarse\.sedimentary\.sandst"
        r"|Huang2016/Desert|siliceous\.rock\.3|sedimentary\.(coarse\.sandstone\.[123]|rocks\.15)$",
    ),
    ("clay", r"\.(shale|siltstone)(\.rock)?\.\d+$"),
    ("carbonate", r"(coarse|solid|rock)\S*(limestone|travertine)|limestone\.rock|dolomite\.rock"),
    ("mafic", r"mafic\.(solid|rock)|ign\.mafic|andesite|mafic\.fine\.(diabase|anorth|norite)"),
    (
        "rock",
        r"felsic\.(rock|solid)|intermediate\.(rock|solid)|(coarse|solid)\.(gneiss|schist|slate|"
        r"phyllite)|greywacke|breccia|solid\.sandstone|sandstone\.rock\.[6-9]$|marble\.[234]$"
        r"|NPOESS/rock$",
    ),
    ("foam", r"ecostress/seafoam"),
    ("snow", r"^(?!Huang2016).*(snow|frost)"),
    ("manmade", r"^SLUM/[ABCGLRSVX]|Construction"),
    ("bare", r"^ecostress/(igneous|metamorphic|sedimentary)\."),
)
# These stand alone, so what is left out of mixtures is not left out of them.
_ALONE: Final = frozenset({"bare"})
_LEFT_OUT: Final = re.compile(r"\.fine\.(marble|limestone|travertine|quartzite|sandstone)|obsidian")
# One spectrum is at hand; what varies is how much of it there is.
_SHARED: Final = frozenset({"foam"})
_SPLITS: Final = ("train", "test", "validation", "train", "train")


def select(rows: Sequence[dict[str, str]]) -> list[dict[str, Any]]:
    """Sort rows into components, and divide the endmembers of each in the order of their names.

    Parameters
    ----------
    rows : sequence of dict
        Rows of the source table, with at least ``name`` and ``class``.

    Returns
    -------
    list of dict
        The chosen endmembers.
    """
    chosen: list[dict[str, Any]] = []
    for component, pattern in COMPONENTS:
        taken = {row["name"] for row in chosen}
        members = sorted(
            (
                row
                for row in rows
                if re.search(pattern, row["name"])
                and (component in _ALONE or not _LEFT_OUT.search(row["name"]))
                and row["class"] != "mineral"
                and row["name"] not in taken
            ),
            key=lambda row: row["name"],
        )
        chosen.extend(
            {
                "component": component,
                "split": "all" if component in _SHARED else _SPLITS[number % len(_SPLITS)],
                "name": row["name"],
                "library": _library(row["name"]),
                "emissivity": [float(row[band]) for band in BANDS],
            }
            for number, row in enumerate(members)
        )
    return chosen


def _library(name: str) -> str:
    for key, library in LIBRARIES.items():
        if any(name.startswith(prefix) for prefix in library["prefixes"]):
            return key
    raise KeyError(name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the source table, write the selection.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments of the command; by default those of the process.

    Returns
    -------
    int
        Exit code, 0.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="table of band emissivities, CSV")
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args(arguments)
    with options.source.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    libraries = {
        key: {field: text for field, text in library.items() if field != "prefixes"}
        for key, library in LIBRARIES.items()
    }
    endmembers = select(rows)
    lines = ",\n".join("  " + json.dumps(row) for row in endmembers)
    text = (
        '{"bands": ' + json.dumps(list(BANDS)) + ',\n "response": "USGS/NASA ASTER-RSR, 1 nm",\n'
        ' "libraries": '
        + json.dumps(libraries, indent=1)
        + f',\n "endmembers": [\n{lines}\n ]\n}}\n'
    )
    options.out.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{len(endmembers)} endmembers -> {options.out.name}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
