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
# # Does it agree with a thermometer?
#
# A station on the ground measures what the surface sends up and what the sky sends down. With the
# ground's emissivity both give a temperature, and a validation asks how far the retrieved one is
# from it, how sure that is, and whether the stated uncertainty covers it. Here the stations are
# simulated beside a simulated series, so that the answer is known: one of two stations reads 0.5 K
# too high.

# %%
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyproj
import xarray as xr

import aktes_xr
from aktes_xr.validation import compare, pair_stations, read_stations

folder = Path(tempfile.mkdtemp(prefix="aktes-"))
first = datetime(2003, 5, 2, 17, 20, tzinfo=UTC)
settings = aktes_xr.simulate.SceneSettings(
    seed=21, dates=tuple(first + timedelta(days=32 * number) for number in range(10))
)
items = aktes_xr.simulate.write_scene(
    folder, terrain="jacksboro", shape=(60, 66), settings=settings
)
cube = aktes_xr.open_stac(items, dem=folder / "dem.tif", resolution=None)
cube = aktes_xr.add_ancillaries(cube, folder / "ancillary.zarr")
result = cube.aktes.retrieve().compute()
truth = xr.open_zarr(folder / "truth.zarr", consolidated=False, decode_coords="all").compute()

# %%
result["surface_temperature"].isel(time=slice(0, 4)).plot.imshow(col="time", cmap="inferno")
plt.show()

# %% [markdown]
# ## Two stations
#
# SURFRAD and BSRN files are read as they are published. Anything else is a CSV: time, latitude,
# longitude, and both longwave fluxes or a temperature. These two stand on the most even ground,
# where a pixel of 90 m is like the few metres that an instrument sees.

# %%
rng = np.random.default_rng(4)
spread = truth["surface_temperature"].rolling(y=5, x=5, center=True).std().mean("time")
inner = spread.isel(y=slice(15, -15), x=slice(15, -15))
place = np.unravel_index(np.argsort(inner.values, axis=None)[[0, 40]], inner.shape)
to_degrees = pyproj.Transformer.from_crs(result.rio.crs, 4326, always_xy=True)
offsets = {"good": 0.0, "high": 0.5}
rows = []
for (name, offset), row, column in zip(offsets.items(), *place, strict=True):
    pixel = truth["surface_temperature"].sel(y=inner["y"][row], x=inner["x"][column])
    longitude, latitude = to_degrees.transform(float(pixel["x"]), float(pixel["y"]))
    rows += [
        {
            "station": name,
            "time": pd.Timestamp(kelvin["time"].values) + pd.Timedelta(minutes=minute),
            "latitude": latitude,
            "longitude": longitude,
            "surface_temperature": float(kelvin) + offset + rng.normal(0, 0.1),
        }
        for kelvin in pixel
        for minute in range(-5, 6)
    ]
pd.DataFrame(rows).to_csv(folder / "stations.csv", index=False)
stations = read_stations([folder / "stations.csv"])
print([(one.name, len(one.records)) for one in stations])

# %% [markdown]
# ## The comparison
#
# Overpasses are matched within five minutes; the retrieved temperature is the mean of a window of
# three pixels. Intervals take what errs alike as one: errors of one station and month are not
# independent.

# %%
found = {}
for station in stations:
    pairs, matches = pair_stations(result, [station])
    found[station.name] = compare(pairs)
    overall = found[station.name].overall
    print(
        f"{station.name}: {overall.n} overpasses, retrieved - measured {overall.bias:+.2f} K, "
        f"MAE {overall.mae:.2f} K"
    )

# %%
pairs, matches = pair_stations(result, stations)
everything = compare(pairs)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for name, marker in (("good", "o"), ("high", "s")):
    mine = [match for match in matches if match.station == name]
    left.errorbar(
        [match.measured_k for match in mine],
        [match.retrieved_k for match in mine],
        yerr=[match.sigma_k for match in mine],
        fmt=marker,
        label=name,
    )
    right.errorbar(
        [match.time for match in mine],
        [match.retrieved_k - match.measured_k for match in mine],
        yerr=[match.sigma_k for match in mine],
        fmt=marker,
        label=name,
    )
low = min(match.measured_k for match in matches) - 2
high = max(match.measured_k for match in matches) + 2
left.plot([low, high], [low, high], color="0.7")
left.set(xlabel="measured (K)", ylabel="retrieved (K)")
right.axhline(0, color="0.7")
right.tick_params(axis="x", rotation=30)
right.set(ylabel="retrieved - measured (K)")
right.legend(title="station")
plt.show()

# %% [markdown]
# The comparison knows nothing of the truth. The difference of the two stations' biases is what was
# planted, as far as ten overpasses can tell. With real stations nobody tells you which of the two
# is right: the homogeneity of the ground, the emissivity in the fluxes and the instrument come
# first.
#
# On the command line: `aktes validate result.zarr stations.csv --report page.html`.

# %%
difference = found["good"].overall.bias - found["high"].overall.bias
print(f"difference of the biases {difference:+.2f} K, planted +0.50 K")
assert all(one.overall.n >= 8 for one in found.values())
assert abs(difference - 0.5) < 0.35
