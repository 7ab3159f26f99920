"""Faults tried on real components: what is lost, what is said, and how it ends.

Each fault is played on processes that the benchmark starts itself, on loopback and in a folder of
its own; its row holds where it ends as it should. ``--part AREA`` plays one area alone.
"""

from __future__ import annotations

import importlib
import json
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Final

from aktes_xr.bench.checks import BenchResult, Check, Table
from aktes_xr.bench.fault_rows import FAULTS, Fault, Outcome
from aktes_xr.bench.fault_stage import Stage
from aktes_xr.bench.scale_cubes import small_bundle, write_granules
from aktes_xr.errors import AktesError, InputError

_LOGGER = logging.getLogger(__name__)

MODULES: Final = (
    "faults_store",
    "faults_items",
    "faults_search",
    "faults_network",
    "faults_security",
    "faults_numbers",
    "faults_files",
    "faults_objects",
    "faults_cluster",
    "faults_process",
)
"""Modules of faults, in the order of the table; another one needs its name here."""
_DATES: Final = 12
_SHAPE: Final = (160, 160)


def run(*, quick: bool, part: str | None = None) -> BenchResult:
    """Play all faults.

    Parameters
    ----------
    quick : bool
        The first fault of each area (all of them where ``part`` names one), and fewer repetitions
        of what happens at random.
    part : str, optional
        One area, to play it alone.

    Returns
    -------
    BenchResult
        A check for each fault: 1 where it ends as it should.

    Raises
    ------
    InputError
        There is no such area.
    """
    for module in MODULES:
        importlib.import_module(f"aktes_xr.bench.{module}")
    areas = sorted({fault.area for fault in FAULTS}, key=str.lower)
    if part is not None and part not in areas:
        raise InputError(f"found part {part!r}, expected one of {', '.join(areas)}")
    rows, checks = [], []
    with tempfile.TemporaryDirectory(prefix="aktes-faults-") as place:
        folder = Path(place)
        items, broken = _granules(folder / "granules"), _granules(folder / "broken", cut=True)
        bundle = str(folder / "bundle")
        small_bundle(folder / "bundle")
        warm = folder / "warm"
        warm.mkdir()
        # Compile the kernels here once, so that no fault has to wait for it.
        Stage(warm, items[:1], (), bundle, quick).run()
        chosen = [fault for fault in FAULTS if part in (None, fault.area)]
        if quick and part is None:
            chosen = list({fault.area: fault for fault in reversed(chosen)}.values())[::-1]
        for number, fault in enumerate(chosen):
            own = folder / f"{number:03d}"
            own.mkdir()
            outcome = _played(fault, Stage(own, items, broken, bundle, quick))
            shutil.rmtree(own)
            _LOGGER.info("%s, %s: %s", fault.area, fault.what, outcome.said)
            whose = "own" if fault.own else "survey"
            rows.append(
                (fault.area, fault.what, whose, outcome.said, fault.expected, outcome.holds)
            )
            checks.append(
                Check.at_least(f"{fault.area}: {fault.what}", float(outcome.holds), 1.0, "1")
            )
    columns = ("area", "fault", "of", "outcome", "should end", "holds")
    return BenchResult(checks, [Table("Faults", columns, rows)])


def _played(fault: Fault, stage: Stage) -> Outcome:
    try:
        return fault.play(stage)
    except (AktesError, OSError) as error:
        # What came of it could not even be looked at: no store, say.
        return Outcome(f"{type(error).__name__}: {error}"[:200], holds=False)


def _granules(folder: Path, *, cut: bool = False) -> tuple[str, ...]:
    """Write granules of a few dates and return their items' paths; ``cut`` spoils the files."""
    folder.mkdir()
    made = write_granules(folder, _DATES, _SHAPE)
    paths = []
    for number, item in enumerate(made):
        path = folder / f"item_{number:04d}.json"
        path.write_text(json.dumps(item), encoding="utf-8")
        paths.append(str(path))
        if cut:
            raster = Path(item["assets"]["TIR"]["href"])
            raster.write_bytes(raster.read_bytes()[: raster.stat().st_size // 3])
    return tuple(paths)
