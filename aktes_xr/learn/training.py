"""Long training of one network: fresh ancillary drop-out each epoch, checkpoints, calibration."""

from __future__ import annotations

import io
import json
import logging
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from aktes_xr.learn.history import add_epoch
from aktes_xr.learn.losses import laplace_likelihood
from aktes_xr.learn.pixels import Draw, Sample
from aktes_xr.models.features import REFERENCE, raw_features
from aktes_xr.models.pixel_model import Scaling

_LOGGER = logging.getLogger(__name__)
Progress = Callable[[str], None]
_DOMAIN_QUANTILES: Final = (0.001, 0.999)
_DOMAIN_MARGIN: Final = 0.25
"""The training domain lies between these quantiles of each feature, widened by this share of their
distance."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes
    ----------
    epochs, batch_size : int
    learning_rate : float
        At the start; it falls to zero along a cosine.
    seed : int
    """

    epochs: int
    batch_size: int
    learning_rate: float
    seed: int


def scaling_of(sample: Sample, rng: np.random.Generator, *, terrain: bool) -> Scaling:
    """Take centres, scales and domain from a training sample.

    Parameters
    ----------
    sample : Sample
        With all ancillaries.
    rng : numpy.random.Generator
        For the drop-out, which the masks' scales depend on.
    terrain : bool
        With the student's features.
    """
    features = raw_features(sample.dropped(rng).quantities, terrain=terrain)
    center = np.asarray(np.nanmean(features, axis=0, dtype=np.float64))
    scale = np.asarray(np.nanstd(features, axis=0, dtype=np.float64))
    scale[scale < 1e-6] = 1.0
    standardised = (features - center) / scale
    low, high = np.nanquantile(standardised, _DOMAIN_QUANTILES, axis=0)
    margin = _DOMAIN_MARGIN * (high - low)
    raw = sample.truth.astype(np.float64)
    raw[:, 0] -= sample.quantities[:, REFERENCE]
    return Scaling(
        center=center.astype(np.float32),
        scale=scale.astype(np.float32),
        low=(low - margin).astype(np.float32),
        high=(high + margin).astype(np.float32),
        output_center=raw.mean(axis=0).astype(np.float32),
        output_scale=raw.std(axis=0).astype(np.float32),
        log_sigma_offset=np.zeros(raw.shape[1], np.float32),
        log_sigma_slope=np.ones(raw.shape[1], np.float32),
    )


def cosine(schedule: Schedule, samples: int) -> Any:
    """Return the schedule of the learning rate over all steps: a falling cosine.

    Parameters
    ----------
    schedule : Schedule
        Epochs, batch size and the first learning rate.
    samples : int
        Pixels of one epoch.

    Returns
    -------
    keras.optimizers.schedules.CosineDecay
    """
    import keras

    steps = schedule.epochs * -(-samples // schedule.batch_size)
    return keras.optimizers.schedules.CosineDecay(
        schedule.learning_rate,
        steps,
        alpha=1e-3,
        warmup_target=None,
    )


def train(
    model: Any,
    samples: tuple[Sample | Draw, Sample],
    scaling: Scaling,
    schedule: Schedule,
    *,
    directory: Path,
    wrap: Callable[[Any], Any] | None = None,
    progress: Progress | None = None,
) -> Any:
    """Train a Keras model with the Laplace likelihood, going on from the last finished epoch.

    Parameters
    ----------
    model : keras.Model
        From `aktes_xr.learn.architecture.keras_model`.
    samples : tuple
        Training and validation; for training a function of the epoch's number instead of a sample
        gives each epoch its own, all of one size.
    scaling : Scaling
    schedule : Schedule
    directory : Path
        Of the checkpoint, and of the history (`aktes_xr.learn.history`).
    wrap : callable, optional
        Turns the model into the one that is fitted (a distiller around it).
    progress : callable, optional
        Called with one line per epoch.

    Returns
    -------
    keras.Model
        ``model``, trained.
    """
    import keras

    source, validation = samples
    training = source(0) if callable(source) else source
    fitted = model if wrap is None else wrap(model)
    optimizer = keras.optimizers.Adam(cosine(schedule, len(training.truth)), clipnorm=1.0)
    fitted.compile(optimizer=optimizer, loss=laplace_likelihood())
    optimizer.build(model.trainable_variables)
    checkpoint = _Checkpoint(directory, model, optimizer)
    held = validation.dropped(np.random.default_rng(schedule.seed))
    held_inputs, held_targets = held.inputs(scaling), validation.targets(scaling)
    for epoch in range(checkpoint.restore(), schedule.epochs):
        keras.utils.set_random_seed(schedule.seed + epoch)
        rng = np.random.default_rng([schedule.seed, epoch])
        if callable(source) and epoch:
            training = source(epoch)
        history = fitted.fit(
            training.dropped(rng).inputs(scaling),
            training.targets(scaling),
            batch_size=schedule.batch_size,
            shuffle=True,
            verbose=0,
        ).history
        predicted = np.asarray(model.predict(held_inputs, batch_size=8192, verbose=0))
        error = np.abs(predicted[:, 0] - held_targets[:, 0]).mean() * scaling.output_scale[0]
        loss = float(history["loss"][-1])
        # Before the checkpoint: what a kill in between leaves is trained, and written, again.
        add_epoch(directory, model.name, epoch, loss=loss, validation_mae_k=float(error))
        checkpoint.save(epoch + 1)
        line = (
            f"{model.name}: epoch {epoch + 1} of {schedule.epochs}, loss "
            f"{loss:.4f}, validation MAE {error:.3f} K"
        )
        _LOGGER.info(line)
        if progress is not None:
            progress(line)
    return model


class _Checkpoint:
    """Weights and optimiser state after each epoch, replaced in one step."""

    def __init__(self, directory: Path, model: Any, optimizer: Any) -> None:
        self._weights = directory / f"{model.name}.checkpoint.npz"
        self._model, self._optimizer = model, optimizer

    def save(self, epoch: int) -> None:
        arrays = {
            **{f"model_{i}": np.asarray(v) for i, v in enumerate(self._model.variables)},
            **{f"optimizer_{i}": np.asarray(v) for i, v in enumerate(self._optimizer.variables)},
            "epoch": np.asarray(epoch),
        }
        partial = self._weights.with_suffix(".partial.npz")
        self._weights.parent.mkdir(parents=True, exist_ok=True)
        np.savez(partial, **arrays)  # type: ignore[arg-type]
        partial.replace(self._weights)

    def restore(self) -> int:
        if not self._weights.exists():
            return 0
        with np.load(self._weights, allow_pickle=False) as archive:
            for index, variable in enumerate(self._model.variables):
                variable.assign(archive[f"model_{index}"])
            for index, variable in enumerate(self._optimizer.variables):
                variable.assign(archive[f"optimizer_{index}"])
            return int(archive["epoch"])


def keras_bytes(model: Any, directory: Path) -> bytes:
    """Export a model as a plain ``.keras`` file without optimiser, and return its bytes.

    Parameters
    ----------
    model : keras.Model
        The trained model.
    directory : Path
        A folder for a file in passing.

    Returns
    -------
    bytes
        The same weights give the same bytes.
    """
    import keras

    path = directory / f"{model.name}.keras"
    # A clone would keep the optimiser and the loss. A plain model needs neither.
    plain = keras.Model.from_config(model.get_config())
    plain.set_weights(model.get_weights())
    plain.save(path, include_optimizer=False)
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(buffer, "w") as target:
        for name in sorted(source.namelist()):
            data = source.read(name)
            if name == "metadata.json":
                # Without the date, the same weights make the same file and the same hash.
                kept = {"keras_version": json.loads(data)["keras_version"]}
                data = json.dumps(kept).encode()
            target.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()
