# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What will it take on a cluster, and what did it take?
#
# The same line runs on a laptop and on a Dask cluster. Before it runs, `plan` says what it will
# take; here that is compared with what happened. The cluster is two processes on this machine:
# with a `Client` of your hub's scheduler nothing else changes.

# %%
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from dask.distributed import Client, LocalCluster

import aktes_xr

folder = Path(tempfile.mkdtemp(prefix="aktes-"))
items = aktes_xr.simulate.write_scene(folder, terrain="alpine", shape=(320, 384), seed=7, dates=3)
cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
client = Client(cluster)
print(f"{len(client.scheduler_info()['workers'])} workers")

# %% [markdown]
# ## The plan
#
# `chunks="auto"` asks the cluster what memory a thread has. Small chunks are taken here so that a
# small scene has something to distribute.

# %%
cube = aktes_xr.open_stac(items, dem=folder / "dem.tif", resolution=None, chunks=128)
cube = aktes_xr.add_ancillaries(cube, folder / "ancillary.zarr")
plan = cube.aktes.plan()
for label, text in plan.lines().items():
    print(f"{label:12} {text}")

# %% [markdown]
# The terrain does not change from date to date, so it is computed once. With it the plan knows
# which pixels need which network.

# %%
terrain = cube.aktes.terrain(rechunk="auto").compute()
terrain = terrain.merge(aktes_xr.terrain.terrain_complexity(terrain))
informed = cube.aktes.plan(terrain=terrain)
print(
    f"matrix work everywhere {informed.gflop:.0f} Gflop, needed {informed.gflop_needed:.0f} Gflop"
)
print(f"projected: {plan.seconds:.1f} s at most, {informed.seconds:.1f} s with the terrain known")

# %% [markdown]
# ## The run
#
# Kernels are compiled once per machine and kept; here they are warmed by a first date, so that the
# time is that of the work.

# %%
aktes_xr.write_result(cube.isel(time=[0]).aktes.retrieve(terrain=terrain), folder / "first.zarr")

begin = time.perf_counter()
aktes_xr.write_result(cube.aktes.retrieve(terrain=terrain), folder / "cluster.zarr")
took = time.perf_counter() - begin


def peak_bytes():
    import resource

    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


peaks = list(client.run(peak_bytes).values())
print(f"took {took:.1f} s, reading and writing included")
print(f"peaks of the workers {[f'{peak / 1e6:.0f} MB' for peak in peaks]}")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
left.bar(["planned", "taken"], [informed.seconds, took], color=["0.7", "tab:orange"])
left.set(ylabel="seconds", title="time (planned without reading and writing)")
right.bar(
    ["planned", *[f"worker {number}" for number in range(len(peaks))]],
    [plan.peak_bytes / 1e6, *[peak / 1e6 for peak in peaks]],
    color=["0.7", "tab:orange", "tab:orange"],
)
right.set(ylabel="MB", title="peak memory")
plt.show()

# %% [markdown]
# What is planned is the retrieval; reading, writing and the scheduler come on top, and on a scene
# as small as this one they are most of it. Their share falls with the size of the chunks.
# A worker that had to compile kernels keeps some memory of it, and its peak lies above the plan;
# `aktes compile` compiles them beforehand.
#
# ## The same bits
#
# Neither the cluster nor the chunks may change a result. So it is computed once more, in this
# process and in other chunks.

# %%
client.close()
cluster.close()
other = aktes_xr.open_stac(items, dem=folder / "dem.tif", resolution=None, chunks=256)
other = aktes_xr.add_ancillaries(other, folder / "ancillary.zarr")
here = other.aktes.retrieve(terrain=terrain).compute()
there = aktes_xr.open_result(folder / "cluster.zarr").compute()

there["surface_temperature"].plot.imshow(col="time", cmap="inferno", robust=True)
plt.show()

# %%
for name in ("surface_temperature", "emissivity", "student_weight", "quality"):
    np.testing.assert_array_equal(here[name].values, there[name].values)
assert plan.chunks == there.sizes["time"] * 3 * 3
assert informed.gflop_needed <= informed.gflop
