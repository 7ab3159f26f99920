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
# # Has this valley warmed in ten years?
#
# A series grows by one date at a time, by a job that a timer starts every night. This notebook
# makes a valley with two summer dates a year for ten years, lets the job find them in three runs,
# and asks of the store what the question is: a trend, and how sure it is.

# %%
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import aktes_xr
from aktes_xr.jobs.config import load_job
from aktes_xr.jobs.run import plan_job, run_job

folder = Path(tempfile.mkdtemp(prefix="aktes-"))
dates = tuple(
    datetime(year, month, 12, 10, 30, tzinfo=UTC) for year in range(2001, 2011) for month in (7, 8)
)
settings = aktes_xr.simulate.SceneSettings(
    seed=31, cover="alpine", dates=dates, air_temperature_range_k=(286.0, 292.0)
)
items = aktes_xr.simulate.write_scene(folder, terrain="alpine", shape=(48, 56), settings=settings)
print(f"{len(items)} granules")

# %% [markdown]
# ## The job
#
# One file says where, what and where to. `aktes run job.toml` runs it; here the same is done by two
# functions.

# %%
grid = xr.open_zarr(folder / "truth.zarr", consolidated=False, decode_coords="all")
(folder / "job.toml").write_text(f"""
[region]
bounds_m = {[float(edge) for edge in grid.rio.bounds()]}
crs = "{grid.rio.crs.to_string()}"

[input]
sources = ["{folder / "catalog.json"}"]
dem = "{folder / "dem.tif"}"
ancillaries = ["{folder / "ancillary.zarr"}"]

[store]
address = "{folder / "valley.zarr"}"

[budget]
dates = 8
""")
job = load_job(folder / "job.toml")
agenda = plan_job(job)
print(f"{sum(task.is_work for task in agenda)} dates to make")

# %% [markdown]
# A budget of eight dates a run: three runs make all twenty. A fourth finds nothing to do and writes
# nothing. A run may be killed at any moment, and the next one goes on.

# %%
for number in range(4):
    account = run_job(job)
    print(f"run {number + 1}: {len(account.made)} made, {account.remaining} left")

# %%
series = aktes_xr.open_result(folder / "valley.zarr")
series

# %%
series["surface_temperature"].isel(time=slice(0, None, 5)).plot.imshow(
    col="time", cmap="inferno", robust=True
)
plt.show()

# %% [markdown]
# ## A trend, and how sure it is
#
# The mean over the valley, date by date, and a line through it. Two things make the line
# uncertain: the weather of the days on which the satellite passed, and the retrieval. The
# residuals hold both. The stated sigma alone, divided by the root of the number of pixels, would
# be far too small: the errors of neighbouring pixels are not independent, for they share their
# atmosphere.

# %%
mean = series["surface_temperature"].mean(("y", "x")).compute()
true = grid["surface_temperature"].mean(("y", "x")).compute()
sigma = series["surface_temperature_uncertainty"].mean(("y", "x")).compute()
years = (mean["time"] - mean["time"][0]).values / np.timedelta64(1, "D") / 365.25


def trend(kelvin):
    design = np.stack([np.ones_like(years), years - years.mean()], axis=1)
    line, *_ = np.linalg.lstsq(design, kelvin, rcond=None)
    residual = kelvin - design @ line
    variance = (residual**2).sum() / (len(kelvin) - 2)
    return line[1], np.sqrt(variance / ((years - years.mean()) ** 2).sum()), design @ line


slope, error, line = trend(mean.values)
true_slope, true_error, _ = trend(true.values)
print(f"retrieved: {10 * slope:+.2f} +- {10 * error:.2f} K per decade")
print(f"true:      {10 * true_slope:+.2f} +- {10 * true_error:.2f} K per decade")

figure, axis = plt.subplots(figsize=(9, 3.6), layout="constrained")
axis.errorbar(mean["time"], mean, yerr=sigma, fmt="o", label="retrieved, mean of the valley")
axis.plot(true["time"], true, "kx", label="true")
axis.plot(mean["time"], line, label=f"{10 * slope:+.1f} +- {10 * error:.1f} K per decade")
axis.set(ylabel="surface temperature (K)")
axis.legend()
plt.show()

# %% [markdown]
# ## Pixel by pixel
#
# Most of a map of trends is weather. Pixels whose trend is less than two of its standard errors are
# hatched: that is nearly all of them, as it should be where nothing was planted.

# %%
centred = xr.DataArray(years - years.mean(), {"time": series["time"]}, "time")
kelvin = series["surface_temperature"].compute()
slopes = 10 * (kelvin * centred).sum("time") / (centred**2).sum("time")
residual = kelvin - kelvin.mean("time") - slopes / 10 * centred
errors = 10 * np.sqrt((residual**2).sum("time") / (len(dates) - 2) / (centred**2).sum("time"))
measured = kelvin.notnull().all("time")
clear = (abs(slopes) > 2 * errors) & measured

figure, axis = plt.subplots(figsize=(6, 4.4), layout="constrained")
slopes.where(measured).plot.imshow(
    ax=axis, cmap="RdBu_r", robust=True, center=0, cbar_kwargs={"label": "K per decade"}
)
axis.contourf(
    slopes["x"],
    slopes["y"],
    (measured & ~clear).astype(float),
    levels=[0.5, 1.5],
    colors="none",
    hatches=["///"],
)
axis.set(
    title="trend; hatched: within two standard errors", xlabel="", ylabel="", xticks=[], yticks=[]
)
plt.show()
print(f"{100 * float(clear.sum() / measured.sum()):.0f} % of the pixels beyond two standard errors")

# %%
assert series.sizes["time"] == len(dates)
assert account.made == []
assert abs(slope - true_slope) < 2 * np.hypot(error, true_error)
assert float(abs(mean - true).mean()) < 1.0
