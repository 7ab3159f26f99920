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
# # Where do the granules come from, and does it matter?
#
# ASTER's thermal images lie in three archives, each with a layout and a login of its own. What you
# get from them is one and the same cube. Cells that need the network are marked: without it they
# only say so, and everything else works on granules that are written here in each archive's layout.

# %%
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import aktes_xr

online = os.environ.get("AKTES_ONLINE") == "1"

# %% [markdown]
# ## What there is
#
# What each archive holds, and what it asks for, is data of this project (`catalogs/`), checked
# against a schema.

# %%
for name, source in aktes_xr.stac.sources().items():
    if source.content == "thermal":
        print(f"{name}: {source.title}\n    {source.holds}\n    {source.access}\n")

# %% [markdown]
# ## Searching (needs the network)
#
# Set `AKTES_ONLINE=1` in the environment to run this cell. Links of the Planetary Computer are
# signed in the task that reads them, so a long run does not outlive its tokens.

# %% tags=["network"]
if online:
    import planetary_computer

    found = aktes_xr.search(
        "planetary_computer",
        bbox=(7.5, 45.8, 8.1, 46.2),
        datetime="2003-07/2003-08",
        max_cloud_cover=20,
        max_items=4,
    )
    real = aktes_xr.open_stac(found, dem="cop-dem-glo-30", modifier=planetary_computer.sign)
    print(real)
else:
    print("offline: this cell would search the Planetary Computer")

# %% [markdown]
# An Earthdata login goes to the hosts it was made for and to no other. Its function is called in
# the task that reads, so no token is ever part of a graph.

# %% tags=["network"]
if online:
    login = aktes_xr.stac.Login(dict, hosts=(".earthdatacloud.nasa.gov", "urs.earthdata.nasa.gov"))
    found = aktes_xr.search("lpdaac", bbox=(7.5, 45.8, 8.1, 46.2), datetime="2015-07", max_items=2)
    print(aktes_xr.open_stac(found, modifier=login))
else:
    print("offline: this cell would ask the LP DAAC, with the account in .netrc")

# %% [markdown]
# ## The same granule in three layouts
#
# One five-band file with or without tags, or one file per band.

# %%
folder = Path(tempfile.mkdtemp(prefix="aktes-"))
cubes = {}
for layout in ("planetary_computer", "aws", "lpdaac"):
    items = aktes_xr.simulate.write_scene(
        folder / layout, terrain="alpine", shape=(160, 180), seed=5, layout=layout
    )
    files = sorted(path.name for path in (folder / layout).glob("AST*.tif"))
    print(f"{layout}:", *files, sep="\n    ")
    cubes[layout] = aktes_xr.open_stac(items, resolution=None)

# %%
cubes["lpdaac"]

# %% [markdown]
# The same digital numbers, whatever they lay in. They stay `uint16` until they are used.

# %%
counts = {layout: cube["tir"].values for layout, cube in cubes.items()}
same = [np.array_equal(counts["planetary_computer"], counts[layout]) for layout in counts]
print("the same bits:", same)

figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
for axis, (layout, cube) in zip(axes, cubes.items(), strict=True):
    image = cube["tir"].sel(band="B13").isel(time=0)
    image.where(image > 0).plot.imshow(ax=axis, cmap="inferno", cbar_kwargs={"label": "DN, B13"})
    axis.set(title=layout, xlabel="", ylabel="", xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## From another grid, or cut to a box
#
# Granules never share a grid. `resolution=90` (the default) brings them to one; `like=` takes that
# of another cube; `bbox=` cuts. A neighbour's pixel is taken, never a mixture: averaging would
# invent radiances.

# %%
whole = aktes_xr.open_stac(items, resolution=90.0)
west, south, east, north = whole.rio.transform_bounds(4326)
inner = (
    west + 0.3 * (east - west),
    south + 0.3 * (north - south),
    east - 0.3 * (east - west),
    north - 0.3 * (north - south),
)
part = aktes_xr.open_stac(items, bbox=inner)
print({name: dict(cube.sizes) for name, cube in (("whole", whole), ("part", part))})
figure, axis = plt.subplots(figsize=(6, 5), layout="constrained")
shown = part.aktes.brightness_temperature().sel(band="B13").isel(time=0)
shown.plot.imshow(ax=axis, cmap="inferno")
axis.set(title="B13, cut to the box", xlabel="", ylabel="", xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## What cannot be read is said
#
# One file is cut short, as a broken transfer leaves it. Its pixels are fill with a flag of their
# own; the rest of the run goes on. `errors="raise"` would stop instead.

# %%
broken = sorted((folder / "lpdaac").glob("*_B12.tif"))[0]
broken.write_bytes(broken.read_bytes()[:2000])
damaged = aktes_xr.open_stac(items, resolution=None).aktes.retrieve(method="teacher").compute()
flags = aktes_xr.cube.quality.decode(damaged["quality"])
print(f"unreadable: {100 * float(flags['unreadable'].mean()):.0f} % of the pixels")

# %%
assert all(same)
assert counts["aws"].dtype == np.uint16
assert bool(flags["unreadable"].any())
assert part.sizes["y"] < whole.sizes["y"]
