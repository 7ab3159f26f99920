"""The obvious pipeline to compare with: ``apply_ufunc``, ``model.predict``, NumPy for the rest.

It runs in a process of its own, for importing TensorFlow starts threads that would compete with
ours: ``python -m aktes_xr.bench.scale_pipeline BUNDLE SIDE CHUNK`` says it is ready, and for each
line it is sent, the batch of ``predict`` or ``default``, runs and prints its seconds. The networks
are the bundle's, as Keras models; features are assembled in NumPy; two Dask threads take one chunk
each, and each asks ``predict`` for the whole chunk.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from aktes_xr import sensor
from aktes_xr.bench.scale_cubes import cube
from aktes_xr.models import load_bundle
from aktes_xr.models.features import QUANTITIES
from aktes_xr.models.pixel_model import PixelModel
from aktes_xr.radiative import surface_pressure_from_elevation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array


Models = dict[str, tuple[PixelModel, Any]]

PREDICT = threading.Lock()
"""``predict`` is not safe under threads: it corrupts the model object."""


def keras_model(model: PixelModel) -> Any:
    """Rebuild a bundle's network in Keras."""
    import keras

    inputs = hidden = keras.Input((model.network.n_features,))
    for layer in model.network.layers:
        out = keras.layers.Dense(layer.weight.shape[0], activation=layer.activation)(hidden)
        hidden = keras.layers.Add()([out, hidden]) if layer.skip else out
    network = keras.Model(inputs, hidden)
    weights = [part for x in model.network.layers for part in (x.weight.T, x.bias[:, 0])]
    network.set_weights(weights)
    return network


def features(quantities: dict[str, Any], model: PixelModel, shape: tuple[int, int]) -> Float32Array:
    """Assemble standardised features (pixel, feature) in NumPy, image by image."""
    reference = quantities["brightness_temperature_B13"]
    images: list[Any] = [reference]
    images += [
        quantities[f"brightness_temperature_{band}"] - reference
        for band in ("B10", "B11", "B12", "B14")
    ]
    images += [1.0 / np.cos(np.deg2rad(quantities["view_zenith"])) - 1.0]
    images += [quantities["surface_pressure"], 1.0]
    images += [np.sqrt(quantities["water_vapor"]), quantities["water_vapor_error"], 1.0]
    images += [quantities["air_temperature"] - reference, quantities["air_temperature_error"], 1.0]
    images += [np.nan] * 6 + [0.0]
    if model.role == "student":
        images += [quantities["sky_view_factor"], quantities["sine_of_slope"]]
        images += [quantities["solar_incidence"], quantities["relief"]]
        images += [
            quantities[f"adjacent_brightness_temperature_{band}"]
            - quantities[f"brightness_temperature_{band}"]
            for band in sensor.BANDS
        ]
        images += [quantities["elevation_difference"]]
    stacked = np.stack([np.broadcast_to(image, shape) for image in images], axis=-1)
    table = stacked.reshape(-1, len(images)).astype(np.float32)
    standard = np.nan_to_num((table - model.scaling.center) / model.scaling.scale)
    return np.asarray(standard, np.float32)


def retrieve_chunk(dn: NDArray[np.uint16], models: Models, batch: int | None) -> Float32Array:
    """Retrieve (y, x, band) digital numbers: temperature, emissivities, uncertainties, weight."""
    from scipy.ndimage import uniform_filter

    shape = dn.shape[:2]
    radiance = sensor.dn_to_radiance(dn)
    kelvin = sensor.radiance_to_brightness_temperature(radiance)
    around = np.stack([uniform_filter(radiance[..., b], 11) for b in range(5)], axis=-1)
    adjacent = sensor.radiance_to_brightness_temperature(around)
    known: dict[str, Any] = dict.fromkeys(QUANTITIES, np.float32(0.0))
    for index, band in enumerate(sensor.BANDS):
        known[f"brightness_temperature_{band}"] = kelvin[..., index]
        known[f"adjacent_brightness_temperature_{band}"] = adjacent[..., index]
    known |= {"view_zenith": 3.0, "water_vapor": 15.0, "water_vapor_error": 1.5}
    known |= {"air_temperature": 288.0, "air_temperature_error": 2.0, "sky_view_factor": 0.93}
    known |= {"sine_of_slope": 0.242, "relief": 240.0, "solar_incidence": 0.7}
    known |= {"elevation_difference": np.nan}
    known["surface_pressure"] = surface_pressure_from_elevation(np.full(shape, 700.0, np.float32))
    answers = []
    for model, network in models.values():
        table = features(known, model, shape)
        with PREDICT:
            raw = network.predict(table, batch_size=batch, verbose=0)
        scaling = model.scaling
        estimate = raw[:, :6] * scaling.output_scale + scaling.output_center
        estimate[:, 0] += kelvin[..., 3].ravel()
        answers.append((estimate, model.sigma(raw[:, 6:])))
    (teacher, teacher_sigma), (student, student_sigma) = answers
    weight = 0.5 * teacher_sigma[:, :1] ** 2
    weight /= weight + 0.5 * student_sigma[:, :1] ** 2
    fused = teacher + weight * (student - teacher)
    variance = weight * student_sigma**2 + (1 - weight) * teacher_sigma**2
    variance += weight * (1 - weight) * (student - teacher) ** 2
    flags = (dn == sensor.FILL_DN).any(-1).ravel()[:, np.newaxis] * np.float32(1.0)
    out = np.concatenate([fused, np.sqrt(variance), weight, flags], axis=1)
    return np.asarray(out.reshape(*shape, 14), np.float32)


def main(arguments: list[str]) -> None:
    """Time the pipeline on two threads, once for each line of the standard input."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(2)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    bundle = load_bundle(arguments[0])
    side, chunk = int(arguments[1]), int(arguments[2])
    ds = cube(1, (side, side), chunk, memory=True)
    student = next(model for model in bundle.models.values() if model.role == "student")
    models: Models = {
        model.name: (model, keras_model(model)) for model in (bundle.teacher, student)
    }
    print("ready", flush=True)
    for line in sys.stdin:
        batch = None if line.strip() == "default" else int(line)
        out = xr.apply_ufunc(
            partial(retrieve_chunk, models=models, batch=batch),
            ds["tir"].isel(time=0),
            input_core_dims=[["band"]],
            output_core_dims=[["plane"]],
            dask="parallelized",
            output_dtypes=[np.float32],
            dask_gufunc_kwargs={"output_sizes": {"plane": 14}},
        )
        # TensorFlow traces the model for each new shape of batch: that is not what is timed.
        retrieve_chunk(np.full((128, 128, 5), 1500, np.uint16), models, batch)
        start = time.perf_counter()
        out.compute(scheduler="threads", num_workers=2)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
    main(sys.argv[1:])
