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
# # What temperature is this mountainside, and how sure is that?
#
# From a STAC item to a map, with an uncertainty for each pixel, and a score against the truth.
#
# ASTER's five thermal bands hold two unknowns that every pixel mixes, the temperature of the ground
# and its emissivity, behind an atmosphere that is a third. `aktes_xr` separates them with networks:
# a teacher that is right nearly everywhere, a student that sees the terrain, and a fusion of both.
#
# This notebook needs no network and no account. Its granule is simulated over alpine relief and
# laid out as the archives do it: a five-band COG with its STAC item, beside an elevation model. It
# is cut to a ninth of a granule, to be quick; `shape=(700, 830)` is a whole one.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import xarray as xr

import aktes_xr
from aktes_xr.report import quicklook
from aktes_xr.validation.metrics import scores

folder = Path(tempfile.mkdtemp(prefix="aktes-"))
items = aktes_xr.simulate.write_scene(folder, terrain="alpine", shape=(240, 280), seed=1)
items

# %% [markdown]
# ## The cube
#
# `open_stac` takes items in any form (paths, pystac, the result of a search) and reads nothing yet.
# Digital numbers stay `uint16` until they are needed; angles and times come from the item. With
# `dem=`, the elevation is averaged onto the same grid. `resolution=None` keeps the granule's own
# pixels; for several granules, leave it out and they meet on one grid of 90 m.

# %%
cube = aktes_xr.open_stac(items, dem=folder / "dem.tif", resolution=None)
cube

# %% [markdown]
# What is known of the atmosphere helps: here the water column and the air temperature, as a
# reanalysis would give them, with their errors. The networks work without, less precisely.

# %%
cube = aktes_xr.add_ancillaries(cube, folder / "ancillary.zarr")
cube.aktes.brightness_temperature().isel(time=0).plot(col="band", col_wrap=3, cmap="inferno")
plt.show()

# %% [markdown]
# ## The retrieval
#
# One line, still lazy: the same line runs on ten years of a region on a Dask cluster.

# %%
result = cube.aktes.retrieve()
result

# %% [markdown]
# Writing to Zarr computes it, chunk by chunk; what comes back carries units, grid and provenance.

# %%
store = folder / "result.zarr"
aktes_xr.write_result(result, store)
result = aktes_xr.open_result(store)
result["surface_temperature"].attrs

# %% [markdown]
# ## The map
#
# Beside the truth, because this granule has one. The error is drawn on its own scale; the lower row
# shows where the student had a say, the emissivity of one band, and how much sky a pixel sees.

# %%
truth = xr.open_zarr(folder / "truth.zarr", consolidated=False, decode_coords="all")
quicklook(result, truth)

# %% [markdown]
# ## How good is it?
#
# Against the truth, and against the stated uncertainty: 68 % of the errors should lie within one
# standard uncertainty.

# %%
score = scores(
    result["surface_temperature"],
    truth["surface_temperature"],
    sigma=result["surface_temperature_uncertainty"],
)
print(f"{score.n} pixels: MAE {score.mae:.2f} K, bias {score.bias:+.2f} K, PCC {score.pcc:.4f}")
print(f"{100 * score.coverage68:.0f} % of the errors within one stated standard uncertainty")

# %% [markdown]
# The physics baselines take the same cube: `method="tes"` is the algorithm of the standard product.

# %%
baseline = cube.aktes.retrieve(method="tes").compute()
physics = scores(baseline["surface_temperature"], truth["surface_temperature"])
print(f"temperature-emissivity separation: MAE {physics.mae:.2f} K")

# %% [markdown]
# The standard product promises 1.5 K and 0.015.

# %%
emissivity = scores(result["emissivity"].isel(time=0), truth["emissivity"])
assert score.n > 0.95 * int(truth["surface_temperature"].notnull().sum())
assert score.mae < 1.5
assert emissivity.mae < 0.015
