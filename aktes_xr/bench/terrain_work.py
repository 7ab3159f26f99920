"""What the fusion saves where one network has no weight, and that chunks leave no seam."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from aktes_xr.bench import Check, Table
from aktes_xr.errors import InputError
from aktes_xr.models import Fusion, Network
from aktes_xr.models.engine import Engine, Pass
from aktes_xr.retrieval import retrieve
from aktes_xr.retrieval.fields import terrain_of
from aktes_xr.simulate.landforms import landform
from aktes_xr.simulate.scene import SceneSettings, simulate_scene

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from aktes_xr.models import Bundle

CHUNKS: Final = 10
FLAT_CHUNKS: Final = 7
"""Of `CHUNKS` chunks of the granule."""
BOTH: Final = Fusion(1e5, 2e5, 0.0, 0.5)
"""Runs both networks everywhere."""


class _CountingPass(Pass):
    def __init__(self, work: Pass, engine: Engine, counted: list[int]) -> None:
        super().__init__(engine, work.features, work.outputs)
        self._counted = counted

    def run(self, count: int) -> None:
        self._counted.append(count)
        super().run(count)


@dataclass(frozen=True, eq=False)
class Counting(Network):
    """A network that counts a retrieval's pixels, a tile at a time, as it is run."""

    counted: list[int] = field(default_factory=list)

    def new_pass(self, pixels: int) -> Pass:
        """Allocate the arrays of a pass that counts."""
        return _CountingPass(super().new_pass(pixels), self.engine, self.counted)


def counting(bundle: Bundle, fusion: Fusion, counts: dict[str, list[int]]) -> Bundle:
    """Give a bundle another fusion, and networks that count their pixels."""
    models = {
        name: replace(model, network=Counting(model.network.layers, counts.setdefault(name, [])))
        for name, model in bundle.models.items()
    }
    label = f"counting-{fusion.to_json()}-{bundle.sha256}"
    return replace(bundle, models=models, fusion=fusion, sha256=label)


def work(bundle: Bundle, *, chunk: int) -> tuple[list[Check], Table]:
    """Retrieve a granule of 70 % flat chunks with the bundle's fusion and with both networks.

    Parameters
    ----------
    bundle : Bundle
        With students.
    chunk : int
        Pixels of a chunk's side.

    Returns
    -------
    list of Check, Table
    """
    cube, terrain = _plain_and_mountain(chunk)
    if bundle.fusion is None:
        raise InputError(f"the bundle {bundle.name!r} has no fusion: run 'aktes distil'")
    spent, seconds, rows = {}, {}, []
    for label, fusion in (("fusion", bundle.fusion), ("both networks", BOTH)):
        counts: dict[str, list[int]] = {}
        counted = counting(bundle, fusion, counts)
        started = time.perf_counter()
        result = retrieve(cube, bundle=counted, terrain=terrain).compute(scheduler="synchronous")
        seconds[label] = time.perf_counter() - started
        used = str(result.attrs["student"])
        passed = {name: sum(counts.get(name, [])) for name in ("teacher", used)}
        spent[label] = sum(
            bundle.models[name].network.multiplications * pixels for name, pixels in passed.items()
        )
        rows.append((label, passed["teacher"], passed[used], spent[label] / 1e9, seconds[label]))
    share = _skipped_share(bundle, used, floor=bundle.fusion.floor)
    saved = 1.0 - spent["fusion"] / spent["both networks"]
    target = share * FLAT_CHUNKS / CHUNKS
    columns = ("retrieval", "teacher's pixels", "student's pixels", "1e9 multiplications", "s")
    check = Check.at_least(
        "70 % flat chunks: share of the networks' work saved", saved, target, "1"
    )
    return [check], Table("Networks' work, 70 % of the chunks flat", columns, rows)


def _skipped_share(bundle: Bundle, student: str, *, floor: float) -> float:
    """Share of both networks' work that the one without weight on flat ground would have."""
    costs = [bundle.models[name].network.multiplications for name in ("teacher", student)]
    return (costs[0] if floor == 1.0 else costs[1]) / sum(costs)


def _plain_and_mountain(chunk: int) -> tuple[xr.Dataset, xr.Dataset]:
    """One date over a row of chunks: a plain, then mountains at its far end."""
    elevation = landform("alpine", (chunk, CHUNKS * chunk), seed=911, relief_m=3000.0)
    # The last flat chunk ends well before the mountains begin to hide its sky.
    start = FLAT_CHUNKS * chunk
    column = np.arange(CHUNKS * chunk)
    rise = np.clip((column - start - 0.25 * chunk) / (0.5 * chunk), 0.0, 1.0)
    plain = elevation.copy(data=(400.0 + (elevation.to_numpy() - 400.0) * rise).astype(np.float32))
    settings = SceneSettings(seed=911, swath=False)
    scene = simulate_scene(plain, settings).chunk({"y": chunk, "x": chunk})
    names = ["tir", "elevation", "water_vapor", "air_temperature", "ancillary_elevation"]
    return scene[names], terrain_of(scene).compute(scheduler="synchronous")


def jumps(weight: NDArray[np.float32], chunk: int) -> tuple[float, float]:
    """Largest step of a field (y, x) between neighbours across chunk borders, and inside chunks."""
    across, inside = 0.0, 0.0
    for axis in (0, 1):
        step = np.abs(np.diff(weight, axis=axis))
        border = (np.arange(step.shape[axis]) + 1) % chunk == 0
        across = max(across, float(np.nanmax(np.compress(border, step, axis=axis))))
        inside = max(inside, float(np.nanmax(np.compress(~border, step, axis=axis))))
    return across, inside


def seam(bundle: Bundle, *, size: int = 96, chunk: int = 24) -> list[Check]:
    """Retrieve a granule in chunks and in one piece: the weight must not know of chunks."""
    elevation = landform("ridge_valley", (size, size), seed=912, relief_m=2500.0)
    scene = simulate_scene(elevation, SceneSettings(seed=912, swath=False))
    names = ["tir", "elevation", "water_vapor", "air_temperature", "ancillary_elevation"]
    weights = [
        retrieve(scene[names].chunk({"y": side, "x": side}), bundle=bundle)["student_weight"]
        .compute(scheduler="synchronous")
        .to_numpy()[0]
        for side in (chunk, size)
    ]
    gap = float(np.nanmax(np.abs(weights[0] - weights[1])))
    return [Check.at_most("weight in chunks against in one piece, largest gap", gap, 0.0, "1")]
