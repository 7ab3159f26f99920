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
from aktes_xr.models.context import CONTEXT, WINDOWS
from aktes_xr.models.features import STUDENT_FEATURES, TEACHER_FEATURES
from aktes_xr.models.network import Network
from aktes_xr.models.pixel_model import PixelModel
from aktes_xr.models.reading import LOG_VARIANCE_RANGE
from aktes_xr.radiative import surface_pressure_from_elevation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array


Models = dict[str, tuple[PixelModel, Any]]

PREDICT = threading.Lock()
"""``predict`` is not safe under threads: it corrupts the model object."""


def keras_model(network: Network) -> Any:
    """Rebuild a network in Keras.

    Parameters
    ----------
    network : Network
        A bundle's network.

    Returns
    -------
    keras.Model
    """
    import keras

    inputs = hidden = keras.Input((network.n_features,))
    for layer in network.layers:
        out = keras.layers.Dense(layer.weight.shape[0], activation=layer.activation)(hidden)
        hidden = keras.layers.Add()([out, hidden]) if layer.skip else out
    model = keras.Model(inputs, hidden)
    model.set_weights([part for x in network.layers for part in (x.weight.T, x.bias[:, 0])])
    return model


def features(quantities: dict[str, Any], model: PixelModel, shape: tuple[int, int]) -> Float32Array:
    """Assemble standardised features in NumPy, image by image.

    Parameters
    ----------
    quantities : dict of str to ndarray (y, x) or float
        Quantities by name.
    model : PixelModel
        The network they are for.
    shape : (int, int), pixel
        Rows and columns.

    Returns
    -------
    float32 (pixel, feature), 1
    """
    reference = quantities["brightness_temperature_B13"]
    values = {name: quantities.get(name, np.nan) for name in STUDENT_FEATURES}
    values |= {
        f"difference_{band}_B13": quantities[f"brightness_temperature_{band}"] - reference
        for band in ("B10", "B11", "B12", "B14")
    }
    values["air_mass_excess"] = 1.0 / np.cos(np.deg2rad(quantities["view_zenith"])) - 1.0
    values["water_vapor"] = np.sqrt(quantities["water_vapor"])
    values["air_temperature_excess"] = quantities["air_temperature"] - reference
    given = ("surface_pressure_mask", "water_vapor_mask", "air_temperature_mask")
    values |= dict.fromkeys(given, 1.0)
    values |= dict.fromkeys(("skin_temperature_mask", "emissivity_prior_mask"), 0.0)
    values |= {name: np.sqrt(values[name]) for name in CONTEXT if name.startswith("spread")}
    names = TEACHER_FEATURES if model.role == "teacher" else STUDENT_FEATURES
    stacked = np.stack([np.broadcast_to(values[name], shape) for name in names], axis=-1)
    table = stacked.reshape(-1, len(names)).astype(np.float32)
    standard = np.nan_to_num((table - model.scaling.center) / model.scaling.scale)
    return np.asarray(standard, np.float32)


def context(kelvin: Float32Array) -> dict[str, Float32Array]:
    """Describe the surroundings of each pixel by SciPy's filters, image by image.

    Parameters
    ----------
    kelvin : float32 (y, x, band), K
        Brightness temperatures.

    Returns
    -------
    dict of str to float32 (y, x)
        Means and spreads by name.
    """
    from scipy.ndimage import uniform_filter

    reference = kelvin[..., 3].astype(np.float64)
    images = [reference, *(kelvin[..., band] - reference for band in (0, 1, 2, 4))]
    described: list[Any] = []
    for side in WINDOWS:
        means = [uniform_filter(image, side) for image in images]
        squares = [uniform_filter(image**2, side) for image in images]
        pairs = list(zip(images, means, squares, strict=True))
        described += [mean - image for image, mean, _ in pairs]
        described += [np.sqrt(np.maximum(square - mean**2, 0.0)) for _, mean, square in pairs]
        described.append(np.ones(reference.shape))
    return dict(zip(CONTEXT, described, strict=True))


def retrieve_chunk(dn: NDArray[np.uint16], models: Models, batch: int | None) -> Float32Array:
    """Retrieve a chunk of digital numbers by the obvious pipeline.

    Parameters
    ----------
    dn : uint16 (y, x, band)
        Digital numbers.
    models : dict of str to (PixelModel, keras.Model)
        Teacher and student by name.
    batch : int, optional
        Pixels that Keras predicts at once; by default Keras's own.

    Returns
    -------
    float32
        Temperature, emissivities, their uncertainties and the weight.
    """
    shape = dn.shape[:2]
    radiance = sensor.dn_to_radiance(dn)
    kelvin = sensor.radiance_to_brightness_temperature(radiance)
    known: dict[str, Any] = dict(context(kelvin))
    for index, band in enumerate(sensor.BANDS):
        known[f"brightness_temperature_{band}"] = kelvin[..., index]
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
        log_variance = np.clip(raw[:, 6:], *LOG_VARIANCE_RANGE)
        # As one would write it: without the factors that uncertainties gain by stratum.
        log_sigma = scaling.log_sigma_offset + 0.5 * scaling.log_sigma_slope * log_variance
        answers.append((estimate, np.exp(log_sigma) * scaling.output_scale))
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
    """Time the pipeline on two threads, once for each line of the standard input.

    Parameters
    ----------
    arguments : list of str
        Path of the networks, side of a date and side of a chunk in pixels.
    """
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(2)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    bundle = load_bundle(arguments[0])
    side, chunk = int(arguments[1]), int(arguments[2])
    ds = cube(1, (side, side), chunk, memory=True)
    student = next(model for model in bundle.models.values() if model.role == "student")
    models: Models = {
        model.name: (model, keras_model(model.network)) for model in (bundle.teacher, student)
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
        # TensorFlow traces the model for each new shape of batch. That must not be timed.
        retrieve_chunk(np.full((128, 128, 5), 1500, np.uint16), models, batch)
        start = time.perf_counter()
        out.compute(scheduler="threads", num_workers=2)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
    main(sys.argv[1:])
