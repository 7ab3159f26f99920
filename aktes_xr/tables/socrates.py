"""Read the gas absorption of the Met Office SOCRATES spectral file and reduce it to ASTER's bands.

The file (``sp_lw_300``: 300 bands, exponential-sum fits per gas, separate self and foreign water
continuum) is published under the BSD 3-clause licence; its layout is documented in the SOCRATES
user guide. Only the sub-bands that the five responses touch are kept, 10 cm-1 wide each.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aktes_xr.errors import InputError
from aktes_xr.radiative.gases import GASES
from aktes_xr.sensor import BANDS, spectral_response

SOURCE = "Met Office SOCRATES, sp_lw_300 (BSD-3-Clause, Crown copyright)"
CONTINUA = 2
_POWER_LAW = 2
_UNSCALED = 0


@dataclass(frozen=True)
class _Block:
    """One entry of the file: coefficients and how they scale with pressure and temperature."""

    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    scaling: tuple[float, float, float, float, float]


def _block_lines(lines: list[str], kind: int, header: int) -> list[list[str]]:
    """Return the split lines of a block after its heading and ``header`` further lines."""
    mark = f"*BLOCK: TYPE = {kind:4d}:"
    start = next((i for i, line in enumerate(lines) if line.startswith(mark)), None)
    if start is None:
        raise InputError(f"found no block {kind}, expected a SOCRATES longwave spectral file")
    start += 1 + header
    end = next(i for i in range(start, len(lines)) if lines[i].startswith("*END"))
    return [line.split() for line in lines[start:end]]


def _band_limits(lines: list[str]) -> dict[int, tuple[float, float]]:
    """Wavenumber limits in cm-1 from wavelengths in m."""
    return {
        int(band): (0.01 / float(high), 0.01 / float(low))
        for band, low, high in _block_lines(lines, 1, 3)
    }


def _gas_terms(lines: list[str]) -> dict[tuple[int, int], _Block]:
    rows = iter(_block_lines(lines, 5, 4))
    out: dict[tuple[int, int], _Block] = {}
    for band, gas, count, _, function in rows:
        reference = [float(value) for value in next(rows)]
        scaled = _scaled(function)
        terms = []
        for _ in range(int(count)):
            row = next(rows) + (next(rows) if scaled else ["0", "0", "0"])
            terms.append([float(value) for value in row])
        table = np.array(terms)
        if (table[:, 2:] != table[0, 2:]).any():
            raise InputError(f"found terms of band {band}, gas {gas} that scale differently")
        a, b, c = (float(value) for value in table[0, 2:])
        out[int(band), int(gas)] = _Block(
            table[:, 0], table[:, 1], (reference[0], reference[1], a, b, c)
        )
    return out


def _scaled(function: str) -> bool:
    if int(function) == _POWER_LAW:
        return True
    if int(function) == _UNSCALED:
        return False
    raise InputError(f"found scaling function {function}, expected 0 (none) or 2 (power law)")


def _continua(lines: list[str]) -> dict[tuple[int, int], _Block]:
    rows = iter(_block_lines(lines, 9, 3))
    out: dict[tuple[int, int], _Block] = {}
    for band, kind, function in rows:
        if not _scaled(function):
            raise InputError(f"found an unscaled continuum in band {band}, expected a power law")
        pressure, temperature = (float(value) for value in next(rows))
        value, a, b, c = (float(value) for value in next(rows) + next(rows))
        out[int(band), int(kind)] = _Block(
            np.array([value]), np.ones(1), (pressure, temperature, a, b, c)
        )
    return out


def _touched(limits: dict[int, tuple[float, float]]) -> list[int]:
    """Sub-bands that some response reaches."""
    reach = []
    for band in BANDS:
        wavelength, response = spectral_response(band)
        inside = wavelength[response > 0]
        reach.append((1e4 / inside[-1], 1e4 / inside[0]))
    return [
        number
        for number, (low, high) in sorted(limits.items())
        if any(low < last and high > first for first, last in reach)
    ]


def read_absorption(path: Path) -> dict[str, Any]:
    """Reduce the spectral file to the arrays of `aktes_xr.radiative.gases.GasAbsorption`.

    Parameters
    ----------
    path : Path
        The spectral file, as text.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    InputError
        If the file is not laid out as expected.
    """
    lines = path.read_text().splitlines()
    limits, terms, continua = _band_limits(lines), _gas_terms(lines), _continua(lines)
    kept = _touched(limits)
    first = np.zeros((len(kept), len(GASES)), np.int64)
    count = np.zeros_like(first)
    scaling = np.zeros((len(kept), len(GASES), 5))
    scaling[..., :2] = 1.0
    coefficient: list[float] = []
    weight: list[float] = []
    for row, number in enumerate(kept):
        for gas in range(len(GASES)):
            first[row, gas] = len(coefficient)
            block = terms.get((number, gas + 1))
            if block is None:
                continue
            coefficient.extend(block.values)
            weight.extend(block.weights / block.weights.sum())
            count[row, gas] = block.values.size
            scaling[row, gas] = block.scaling
    return {
        "wavenumber": np.array([limits[number] for number in kept]),
        "first": first,
        "terms": count,
        "coefficient": np.array(coefficient),
        "weight": np.array(weight),
        "scaling": scaling,
        "continuum": np.array(
            [[continua[n, k + 1].values[0] for k in range(CONTINUA)] for n in kept]
        ),
        "continuum_scaling": np.array(
            [[continua[n, k + 1].scaling for k in range(CONTINUA)] for n in kept]
        ),
        "source": np.array(SOURCE),
    }
