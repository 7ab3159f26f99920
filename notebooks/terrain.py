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
# # Who retrieved this pixel, and why?
#
# Two networks retrieve each pixel of a mountain scene: the teacher, which takes the ground for
# flat, and the student, which sees the terrain. This notebook opens the box: how much sky a pixel
# sees, what that is worth in kelvin, and how it decides between the two.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import aktes_xr
from aktes_xr.terrain import plot_indices

folder = Path(tempfile.mkdtemp(prefix="aktes-"))
items = aktes_xr.simulate.write_scene(folder, terrain="alpine", shape=(160, 180), seed=3)
cube = aktes_xr.open_stac(items, dem=folder / "dem.tif", resolution=None)
cube = aktes_xr.add_ancillaries(cube, folder / "ancillary.zarr")

figure, axis = plt.subplots(figsize=(6, 4.4), layout="constrained")
cube["elevation"].plot.imshow(ax=axis, cmap="terrain")
axis.set(title="", xlabel="", ylabel="", xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## What the terrain is like
#
# All indices come from one pass over the elevation. The sky-view factor here is the
# Lambert-weighted one of the slope itself: radiative transfer needs that one, and the uniform one
# that other tools call by the same name is up to 0.2 lower.

# %%
terrain = cube.aktes.terrain().compute()
complexity = aktes_xr.terrain.terrain_complexity(terrain)
plot_indices(terrain.merge(complexity[["terrain_complexity_k"]]))

# %% [markdown]
# ## What it is worth, in kelvin
#
# A slope that sees less than the whole sky sees warm ground instead, and reflects it. A retrieval
# that does not know takes that for its own heat, by
#
# $$\Delta T = \frac{(1 - V)(1 - \varepsilon)(L_a - L_s)}{\varepsilon\, \partial B/\partial T}.$$
#
# This is the terrain complexity. It is the only number here that is compared with anything: with
# the noise of the sensor, and with what each network says of itself.

# %%
tables = {}
for name, flat in (("forest", 0.97), ("soil", 0.95), ("quartz sand", 0.80)):
    sand = aktes_xr.terrain.terrain_complexity(terrain, emissivity=flat)["terrain_complexity_k"]
    tables[name] = [float(sand.quantile(q)) for q in (0.05, 0.5, 0.95)]
for name, (low, middle, high) in tables.items():
    print(
        f"{name:12} in the open {low:.2f} K, on a usual slope {middle:.2f} K, deep in {high:.2f} K"
    )

# %% [markdown]
# ## Both networks and their fusion
#
# Each states an uncertainty. The weight of the student rises with the complexity and with the
# teacher's variance, and falls with its own. The sky is clear, so the cloud test is left out: the
# risk of a cloud that it missed would be part of every uncertainty.

# %%
terrain = terrain.merge(complexity)
fusion, teacher, student = (
    cube.aktes.retrieve(method=method, terrain=terrain, clouds="none").isel(time=0).compute()
    for method in ("fusion", "teacher", "student")
)
truth = xr.open_zarr(folder / "truth.zarr", consolidated=False, decode_coords="all").isel(time=0)
# Written coordinates may differ in their last bit, and xarray would drop such pixels.
truth = truth.assign_coords(x=cube["x"], y=cube["y"])

panels = {
    "student's weight": (fusion["student_weight"], "viridis", (0, 1)),
    "teacher - student (K)": (
        teacher["surface_temperature"] - student["surface_temperature"],
        "RdBu_r",
        (-2, 2),
    ),
    "stated uncertainty (K)": (fusion["surface_temperature_uncertainty"], "magma", (0, 1.5)),
}
figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
for axis, (title, (field, colours, (low, high))) in zip(axes, panels.items(), strict=True):
    field.plot.imshow(ax=axis, cmap=colours, vmin=low, vmax=high, cbar_kwargs={"label": ""})
    axis.set(title=title, xlabel="", ylabel="", xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## One pixel's story
#
# The most open pixel of the scene, one in between, and the most enclosed one.

# %%
decoded = aktes_xr.cube.quality.decode(fusion["quality"])
known = fusion["surface_temperature"].notnull().values
sky = np.where(known, terrain["sky_view_factor"].values, np.nan)
ranked = np.argsort(sky.ravel())[: int(known.sum())]
chosen = {"enclosed": ranked[5], "between": ranked[ranked.size // 4], "open": ranked[-5]}
for name, place in chosen.items():
    row, column = np.unravel_index(place, sky.shape)
    pixel = {"y": row, "x": column}
    true = float(truth["surface_temperature"].isel(pixel))
    print(
        f"{name}: sees {sky[row, column]:.2f} of the sky, which is worth "
        f"{float(fusion['terrain_complexity'].isel(pixel)):.2f} K"
    )
    for who, result in (("teacher", teacher), ("student", student), ("fusion", fusion)):
        kelvin = float(result["surface_temperature"].isel(pixel))
        sigma = float(result["surface_temperature_uncertainty"].isel(pixel))
        print(f"    {who}: {kelvin:.2f} +- {sigma:.2f} K, off by {kelvin - true:+.2f} K")
    said = [flag for flag in decoded if bool(decoded[flag].isel(pixel))]
    print(f"    weight of the student {float(fusion['student_weight'].isel(pixel)):.2f}; {said}")

# %% [markdown]
# ## The rule, written out
#
# The bundle holds four numbers. With them the weights of the map follow from the complexity and
# both uncertainties.

# %%
rule = aktes_xr.load_bundle("default").fusion
weight = rule.weight(
    fusion["terrain_complexity"].values,
    teacher["surface_temperature_uncertainty"].values,
    student["surface_temperature_uncertainty"].values,
)
print(rule)
figure, axis = plt.subplots(figsize=(6, 3.4), layout="constrained")
axis.plot(
    fusion["terrain_complexity"].values.ravel(),
    fusion["student_weight"].values.ravel(),
    ".",
    markersize=2,
    alpha=0.4,
    label="pixels",
)
steps = np.linspace(0.0, 1.2 * rule.full_k, 100, dtype=np.float32)
axis.plot(steps, rule.share(steps), "k-", label="by terrain alone")
axis.set(
    xlabel="terrain complexity (K)", ylabel="weight of the student", xlim=(0, 1.2 * rule.full_k)
)
axis.legend()
plt.show()


# %%
def mae(result):
    return float(np.abs(result["surface_temperature"] - truth["surface_temperature"]).mean())


print(
    f"MAE: teacher {mae(teacher):.2f} K, student {mae(student):.2f} K, fusion {mae(fusion):.2f} K"
)

# %%
np.testing.assert_allclose(fusion["student_weight"].values[known], weight[known], atol=2e-3)
assert mae(fusion) < 1.2 * min(mae(teacher), mae(student))
