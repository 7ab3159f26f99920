from __future__ import annotations

import dask
import pytest
from distributed import Client

from aktes_xr import machine
from aktes_xr.cube import CHUNK_STEP
from aktes_xr.jobs.kernels import sample_cube
from aktes_xr.jobs.plan import plan
from aktes_xr.stac import chunking
from aktes_xr.stac.chunking import chunk_lengths

REGION = (400, 4000, 4000)


@pytest.mark.parametrize(
    ("memory", "side"), [("16 GB", 1024), ("600 MB", 768), ("500 MB", 256), ("1 MB", 256)]
)
def test_auto_suits_the_memory(monkeypatch: pytest.MonkeyPatch, memory: str, side: int) -> None:
    bytes_ = dask.utils.parse_bytes(memory)
    monkeypatch.setattr(chunking, "workers_and_memory", lambda: (2, bytes_))
    assert chunk_lengths("auto", REGION) == (1, 5, side, side)
    assert side % CHUNK_STEP == 0


def test_auto_takes_a_date_whole_where_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunking, "workers_and_memory", lambda: (2, 2**34))
    assert chunk_lengths("auto", (20, 700, 830)) == (1, 5, 700, 830)
    with dask.config.set({"array.chunk-size": "32 MiB"}):
        assert chunk_lengths("auto", (20, 700, 830)) == (1, 5, 512, 512)


@pytest.mark.parametrize("client", ["1100 MB"], indirect=True)
def test_a_cluster_is_asked_for_its_memory(client: Client) -> None:
    with client.as_current():
        assert machine.current_client() is client
        assert machine.workers_and_memory() == (2, 550_000_000)
        assert chunk_lengths("auto", REGION)[2:] == (512, 512)
        found = plan(sample_cube(64, digital=True), memory="2 GB")
    assert found.workers == 2


def test_without_a_cluster_it_is_this_machine() -> None:
    assert machine.current_client() is None
    threads, memory = machine.workers_and_memory()
    assert threads >= 1
    assert memory > 100_000_000
