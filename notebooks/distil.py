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
# # Can it be better in my own mountains?
#
# A student is small: it trains in minutes on a laptop. This notebook gives one mountain range a
# student of its own, from simulations of its relief and from labels of one date, as a standard
# product or a campaign would give them; then it is tried on another date that it never saw.
#
# What is trained here in a minute is a sketch. `aktes distil --region FILE --labels FILE` takes the
# time that the shipped student had.

# %%
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import aktes_xr
from aktes_xr.learn.labels import local_pixels
from aktes_xr.learn.recipe import load_recipe
from aktes_xr.learn.region import load_region
from aktes_xr.learn.student import distil

folder = Path(tempfile.mkdtemp(prefix="aktes-"))

# %% [markdown]
# ## The range, twice
#
# One ground, two dates a summer apart.

# %%
settings = aktes_xr.simulate.SceneSettings(
    seed=11,
    cover="alpine",
    dates=(datetime(2003, 7, 15, 10, 30, tzinfo=UTC), datetime(2004, 8, 2, 10, 30, tzinfo=UTC)),
)
items = aktes_xr.simulate.write_scene(folder, terrain="alpine", shape=(140, 150), settings=settings)
cube = aktes_xr.open_stac(items, dem=folder / "dem.tif", resolution=None)
cube = aktes_xr.add_ancillaries(cube, folder / "ancillary.zarr")
truth = xr.open_zarr(folder / "truth.zarr", consolidated=False, decode_coords="all").compute()
# Written coordinates may differ in their last bit, and xarray would drop such pixels.
truth = truth.assign_coords(x=cube["x"], y=cube["y"])
one, other = cube.isel(time=[0]), cube.isel(time=[1])

# %% [markdown]
# ## Labels
#
# Labels are never the truth. These have the errors that the standard product promises: one kelvin,
# and 0.01 in emissivity. They are stated, and the loss weighs each label by what it knows. All
# other pixels of the date go in without a label: there the teacher's answer is the target.

# %%
rng = np.random.default_rng(0)
shape = (one.sizes["y"], one.sizes["x"])
labelled = xr.DataArray(rng.random(shape) < 0.2, dims=("y", "x"))
temperature = truth["surface_temperature"].isel(time=0) + rng.normal(0, 1.0, shape)
emissivity = truth["emissivity"] + rng.normal(0, 0.01, truth["emissivity"].shape)
labels = local_pixels(
    one,
    surface_temperature=temperature.where(labelled),
    emissivity=emissivity.where(labelled),
    errors=(1.0, 0.01),
)
print(f"{labels.n_labelled} labelled pixels, {labels.n_unlabelled} without a label")

# %% [markdown]
# ## The student
#
# A region is a name, a place, and what its simulations are drawn from: land covers, air and relief.
# `aktes_xr/data/regions/` has two; yours is a file of seven lines.

# %%
region = load_region("alpine_range")
quick = load_recipe("quick")
recipe = replace(
    quick,
    student=replace(
        quick.student, samples=16_000, validation_samples=3_000, epochs=4, batch_size=512
    ),
)
history = []
path = distil(
    recipe, folder / "run", bundle="default", region=region, labels=labels, progress=history.append
)
print(*history, sep="\n")

# %% [markdown]
# The new bundle holds all that the old one held, and the new student beside it. Where a scene lies
# in its footprint, it takes the general student's place.

# %%
bundle = aktes_xr.load_bundle(path)
print({name: model.footprint for name, model in bundle.models.items()})

# %% [markdown]
# ## The date that it never saw

# %%
terrain = cube.aktes.terrain().compute()
terrain = terrain.merge(aktes_xr.terrain.terrain_complexity(terrain))
true = truth["surface_temperature"].isel(time=1)
results = {
    "teacher": other.aktes.retrieve(method="teacher", terrain=terrain),
    "general student": other.aktes.retrieve(method="student", terrain=terrain),
    "student of the range": other.aktes.retrieve(method="student", bundle=bundle, terrain=terrain),
}
errors = {
    name: (result["surface_temperature"].isel(time=0) - true).compute()
    for name, result in results.items()
}
for name, error in errors.items():
    print(f"{name:22} MAE {float(abs(error).mean()):.2f} K, bias {float(error.mean()):+.2f} K")

# %%
figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
for axis, (name, error) in zip(axes, errors.items(), strict=True):
    error.plot.imshow(ax=axis, cmap="RdBu_r", vmin=-2, vmax=2, cbar_kwargs={"label": "K"})
    axis.set(title=f"{name}: retrieved - true", xlabel="", ylabel="", xticks=[], yticks=[])
plt.show()

# %% [markdown]
# By how much of the sky a pixel sees: it is in the gorges that a student earns its place.

# %%
edges = [0.0, 0.85, 0.93, 0.97, 1.0]
sky = terrain["sky_view_factor"]
names = ["below 0.85", "0.85-0.93", "0.93-0.97", "0.97-1"]
figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
for number, (name, error) in enumerate(errors.items()):
    bars = [
        float(abs(error).where((sky > low) & (sky <= high)).mean()) for low, high in pairwise(edges)
    ]
    axis.bar(np.arange(4) + 0.27 * (number - 1), bars, width=0.25, label=name)
axis.set(xticks=range(4), xticklabels=names, xlabel="sky-view factor", ylabel="MAE (K)")
axis.legend()
plt.show()

# %% [markdown]
# A minute's student need not beat one that saw millions of pixels; it should already be better
# than the labels it learned from. Judge yours as here, on what it has not seen.

# %%
assert "alpine_range" in bundle.models
assert results["student of the range"].attrs["student"] == "alpine_range"
assert labels.n_labelled > 1000
assert float(abs(errors["student of the range"]).mean()) < 1.0
