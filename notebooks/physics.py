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
# # What does the air do to a thermal image, and how do you undo it?
#
# No network and no training here: a profile of the atmosphere, the radiance equation, and
# temperature-emissivity separation (TES), the algorithm of the standard product. Each is a function
# of plain arrays that you can use on its own.

# %%
import matplotlib.pyplot as plt
import numpy as np

from aktes_xr import sensor
from aktes_xr.baselines import ECOSTRESS, GILLESPIE, tes
from aktes_xr.radiative import (
    simulate_atmosphere,
    surface_leaving_radiance,
    top_of_atmosphere_radiance,
)

bands = list(sensor.BANDS)

# %% [markdown]
# ## A profile becomes an atmosphere
#
# Pressure, temperature, water and ozone on levels, in either order. Here the temperature falls by
# 6.5 K per kilometre up to a tropopause, and the humidity falls with the fourth power of pressure.

# %%
pressure = np.geomspace(1013.0, 0.1, 60)  # hPa
height_km = 7.4 * np.log(1013.0 / pressure)
temperature = np.maximum(291.0 - 6.5 * height_km, 217.0)  # K
water = 0.013 * (pressure / 1013.0) ** 4  # volume mixing ratio
ozone = 3e-7 + 6e-6 * np.exp(-(((height_km - 24.0) / 7.0) ** 2))

air = simulate_atmosphere(pressure, temperature, water, ozone, surface_pressure_hpa=1000.0)
air

# %% [markdown]
# Less moisture, and the band around 8.3 um, B10, opens: it looks through water vapour's edge.

# %%
shares = np.array([0.2, 0.5, 1.0, 1.5])
columns = [simulate_atmosphere(pressure, temperature, share * water, ozone) for share in shares]

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for column in columns:
    label = f"{float(column['precipitable_water']):.0f} kg m-2"
    left.plot(bands, column["transmittance"], "o-", label=label)
    right.plot(bands, column["sky_radiance"], "o-", label=label)
left.set(ylabel="transmittance", title="from the ground to the sensor")
right.set(ylabel="W m-2 sr-1 um-1", title="sky radiance at the ground")
right.legend(title="water column", bbox_to_anchor=(1.0, 1.0), loc="upper left")
plt.show()

# %% [markdown]
# ## What the sensor sees
#
# Four surfaces at 300 K under that air. Quartz is dark where its lattice vibrates, from 8 to
# 9.5 um; water and leaves are nearly black bodies.

# %%
surfaces = {
    "water": [0.984, 0.985, 0.986, 0.993, 0.993],
    "leaves": [0.979, 0.980, 0.978, 0.982, 0.981],
    "granite": [0.902, 0.895, 0.918, 0.958, 0.963],
    "quartz sand": [0.765, 0.742, 0.791, 0.966, 0.962],
}
emissivity = np.array(list(surfaces.values()))
true_temperature = np.full(len(surfaces), 300.0)
radiance = top_of_atmosphere_radiance(
    true_temperature,
    emissivity,
    air["transmittance"].values,
    air["path_radiance"].values,
    air["sky_radiance"].values,
)
seen = sensor.radiance_to_brightness_temperature(radiance)
for name, row in zip(surfaces, seen, strict=True):
    print(f"{name:12}", np.round(row, 2), "K at the sensor, for 300 K on the ground")

# %% [markdown]
# ## And back
#
# With the same air removed, TES has six unknowns and five numbers. What closes the system is an
# empirical law: the smallest emissivity follows from the contrast between the bands.
# Implementations differ in small choices, and each is a named option.

# %%
leaving = surface_leaving_radiance(
    radiance, air["transmittance"].values, air["path_radiance"].values
)
sky = air["sky_radiance"].values
gillespie = tes(leaving, sky, conventions=GILLESPIE)
ecostress = tes(leaving, sky, temperature_band="B13", conventions=ECOSTRESS)

figure, axes = plt.subplots(1, len(surfaces), figsize=(12, 3.2), sharey=True, layout="constrained")
for number, (axis, name) in enumerate(zip(axes, surfaces, strict=True)):
    axis.plot(bands, emissivity[number], "k-", label="true")
    label = f"TES, {gillespie[0][number]:.2f} K"
    axis.plot(bands, gillespie[1][number], "o--", markersize=9, markerfacecolor="none", label=label)
    axis.plot(bands, ecostress[1][number], "s:", label=f"from B13, {ecostress[0][number]:.2f} K")
    axis.set_title(name)
    axis.legend(fontsize="small", loc="lower right")
axes[0].set(ylabel="emissivity", ylim=(0.55, 1.02))
plt.show()

# %% [markdown]
# ## How much a wrong water column costs
#
# Ten per cent is what a reanalysis may err by. Each line is one surface.

# %%
wrong = np.linspace(0.7, 1.3, 13)
errors = []
for factor in wrong:
    guess = simulate_atmosphere(pressure, temperature, factor * water, ozone)
    left_over = surface_leaving_radiance(
        radiance, guess["transmittance"].values, guess["path_radiance"].values
    )
    errors.append(tes(left_over, guess["sky_radiance"].values)[0] - true_temperature)

figure, axis = plt.subplots(figsize=(6, 3.4), layout="constrained")
axis.plot(100 * (wrong - 1), errors, label=list(surfaces))
axis.axhline(0, color="0.7", linewidth=0.8)
axis.set(xlabel="error of the water column (%)", ylabel="error of the temperature (K)")
axis.legend()
plt.show()

# %% [markdown]
# With the right air TES is within a kelvin on all four, as its authors promise (1.5 K and 0.015).
# This is what the networks are measured against, given the same air.

# %%
assert np.all(np.diff([float(column["transmittance"][0]) for column in columns]) < 0)
assert np.abs(gillespie[0] - true_temperature).max() < 1.5
assert np.abs(gillespie[1] - emissivity).mean() < 0.015
