"""Average measured relief to 90 m: ``python -m aktes_xr.tables.relief SRTM_FILE``.

The source is NASA's Shuttle Radar Topography Mission at 1 arc second, warped to 30 m in UTM: the
San Gabriel Mountains around Big Tujunga Canyon, California. Three by three pixels are averaged.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import rasterio

TARGET: Final = Path(__file__).parents[1] / "data" / "relief_san_gabriel.npz"
_FACTOR: Final = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the source, write the averages.

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
    parser.add_argument("source", type=Path, help="elevation, m, pixels of 30 m in UTM")
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args(arguments)
    with rasterio.open(options.source) as dataset:
        heights = dataset.read(1).astype(np.float64)
        cell = _FACTOR * dataset.transform.a
        crs = dataset.crs.to_string()
        corner = (dataset.transform.f, dataset.transform.c)
    rows, columns = (size // _FACTOR for size in heights.shape)
    blocks = heights[: rows * _FACTOR, : columns * _FACTOR]
    mean = blocks.reshape(rows, _FACTOR, columns, _FACTOR).mean(axis=(1, 3))
    np.savez_compressed(
        options.out,
        elevation=np.rint(mean).astype(np.int16),
        cell_size_m=np.float64(cell),
        corner_m=np.array(corner),
        crs=np.array(crs),
    )
    sys.stdout.write(f"{rows} x {columns} pixels -> {options.out.name}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
