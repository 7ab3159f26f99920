"""Scenes of the world that networks train in, with air, surfaces and relief they never saw."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Final

from aktes_xr.simulate.relief import Landform, landform
from aktes_xr.simulate.scene import simulate_scene
from aktes_xr.simulate.settings import SceneSettings

if TYPE_CHECKING:
    import xarray as xr

    from aktes_xr.simulate.landcover import Cover

_RELIEF: Final[tuple[tuple[Landform, float], ...]] = (
    ("alpine", 3200.0),
    ("ridge_valley", 1500.0),
    ("volcano", 3000.0),
    ("canyon", 1300.0),
    ("alpine", 4800.0),
    ("ridge_valley", 200.0),
)
_COVERS: Final[tuple[Cover, ...]] = ("temperate", "arid", "alpine")
_PRIOR_ERROR: Final = 0.015
_SEED: Final = 7000


def first_world(count: int, *, size: int = 128) -> Iterator[xr.Dataset]:
    """Yield ``count`` scenes of the split "test", days and nights; their structure is the cover.

    Parameters
    ----------
    count : int
    size : int
        Rows and columns.

    Yields
    ------
    Dataset
        See `aktes_xr.simulate.simulate_scene`.
    """
    kinds = list(product(_RELIEF, (False, True), _COVERS))
    for number in range(count):
        # 25 and the 36 kinds have no common divisor. So any run of scenes has many of the kinds.
        (relief, height), night, cover = kinds[25 * number % len(kinds)]
        seed = _SEED + number
        settings = SceneSettings(
            seed=seed,
            night=night,
            cover=cover,
            split="test",
            swath=False,
            emissivity_error=_PRIOR_ERROR,
        )
        elevation = landform(relief, (size, size), seed=seed, relief_m=height)
        yield simulate_scene(elevation, settings).assign_attrs(structure=f"cover {cover}")
