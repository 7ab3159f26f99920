"""Rebuild the shipped tables: ``python -m aktes_xr.tables.build --reference-data DIR``.

DIR holds the spectral response (``aster_tir_srf.csv``), the spectral file
(``socrates_sp_lw_300.txt``), the reference spectra (``reference_rt.nc``) and the profile sets
(``profiles_*.nc``). Steps depend on one another in the order response, absorption, atmospheres,
emulator; all take about five minutes on one core. The same input gives the same files.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np

from aktes_xr.tables.emulator import write_emulator
from aktes_xr.tables.gas_fit import fit_calibration, read_reference
from aktes_xr.tables.profile_sets import build_atmosphere_table, build_profile_levels
from aktes_xr.tables.response import build_sensor_table
from aktes_xr.tables.socrates import read_absorption

logger = logging.getLogger(__name__)

DATA = Path(__file__).resolve().parent.parent / "data"
STEPS = ("response", "absorption", "profiles", "atmospheres", "emulator")


def build_absorption(source: Path, target: Path) -> None:
    """Reduce the spectral file, fit its calibration and write both.

    Parameters
    ----------
    source : Path
        The directory of reference data.
    target : Path
        The ``.npz`` that is written.
    """
    arrays = read_absorption(source / "socrates_sp_lw_300.txt")
    arrays["calibration"] = fit_calibration(arrays, read_reference(source / "reference_rt.nc"))
    np.savez_compressed(target, **arrays)


def main(arguments: list[str] | None = None) -> None:
    """Run the chosen steps.

    Parameters
    ----------
    arguments : list of str, optional
        Arguments of the command; by default those of the process.
    """
    parser = argparse.ArgumentParser(description="Rebuild the shipped radiative tables.")
    parser.add_argument("--reference-data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--target", type=Path, default=DATA, metavar="DIR")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for step in STEPS:
        if step not in options.steps:
            continue
        logger.info("building %s", step)
        if step == "response":
            build_sensor_table(
                options.reference_data / "aster_tir_srf.csv", options.target / "aster_tir.npz"
            )
        elif step == "absorption":
            build_absorption(options.reference_data, options.target / "gas_absorption.npz")
        elif step == "profiles":
            build_profile_levels(options.reference_data, options.target / "profiles.npz")
        elif step == "atmospheres":
            build_atmosphere_table(options.reference_data, options.target / "atmospheres.npz")
        else:
            write_emulator(options.target)


if __name__ == "__main__":
    main()
