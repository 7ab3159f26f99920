"""The AutoKeras search for the teacher's architecture.

The search space is a block of our own in an `autokeras.AutoModel`: width, depth, activation,
normalisation, skip connections; optimiser and learning rate are AutoKeras's own hyperparameters,
restricted. Candidates predict the six means with the squared error; the winner is then built as a
plain Keras model (`aktes_xr.learn.architecture`), so nothing trained needs AutoKeras to load.

After a kill the same call goes on: finished trials are remembered, the one that was killed is
trained again, and the outcome is that of a search nobody killed (`aktes_xr.learn.search`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aktes_xr.documents import write_json
from aktes_xr.errors import TrainingError
from aktes_xr.learn.architecture import Architecture, hidden_layers
from aktes_xr.models.features import N_OUTPUTS

if TYPE_CHECKING:
    from aktes_xr.compilation import Float32Array
    from aktes_xr.learn.recipe import SearchSpace, TeacherRecipe

_LOGGER = logging.getLogger(__name__)
_BLOCK: Final = "layers"
LEADERBOARD: Final = "leaderboard.json"


@dataclass(frozen=True)
class Trial:
    """One candidate of a search.

    Attributes
    ----------
    score : float
        Mean squared error of the validation sample, standardised outputs.
    architecture : Architecture
    optimizer : str
    learning_rate : float
    epochs : int
        That it was trained; 0 where a leaderboard does not say.
    """

    score: float
    architecture: Architecture
    optimizer: str
    learning_rate: float
    epochs: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the trial as plain values."""
        return {
            "score": self.score,
            "architecture": self.architecture.to_json(),
            "optimizer": self.optimizer,
            "learning_rate": self.learning_rate,
            "epochs": self.epochs,
        }


def search(
    training: tuple[Float32Array, Float32Array],
    validation: tuple[Float32Array, Float32Array],
    recipe: TeacherRecipe,
    *,
    seed: int,
    directory: Path,
    progress: Callable[[str], None] | None = None,
) -> list[Trial]:
    """Search an architecture, or go on with a search that was interrupted.

    Parameters
    ----------
    training, validation : tuple of ndarray
        Standardised features (sample, feature) and outputs (sample, 6), shuffled.
    recipe : TeacherRecipe
    seed : int
        Not 0, which AutoKeras takes for none.
    directory : Path
        Of the trials.
    progress : callable, optional
        Called with one line per finished trial.

    Returns
    -------
    list of Trial
        The leaderboard: finished trials, best first. It is also in ``leaderboard.json``.

    Raises
    ------
    TrainingError
        No trial could be completed.
    """
    import autokeras
    import keras
    import keras_tuner

    leaderboard = directory / LEADERBOARD
    if leaderboard.exists():
        return read_leaderboard(leaderboard.read_bytes())
    keras.utils.set_random_seed(seed)
    hyperparameters = keras_tuner.HyperParameters()
    hyperparameters.Choice("optimizer", list(recipe.space.optimizer))
    hyperparameters.Choice("learning_rate", list(recipe.space.learning_rate))
    node = autokeras.Input(name="features")
    hidden = _block(recipe.space)(node)
    head = autokeras.RegressionHead(output_dim=N_OUTPUTS, dropout=0.0)(hidden)
    # Hyperband's brackets depend on the largest number of epochs of a trial, by default a thousand.
    options = {"max_epochs": recipe.search_epochs} if recipe.tuner == "hyperband" else {}
    model = autokeras.AutoModel(
        node,
        head,
        project_name=PROJECT,
        directory=str(directory),
        tuner=remembering_tuner(
            recipe.tuner, directory, seed, progress=_counted(progress, recipe.trials)
        ),
        max_trials=recipe.trials,
        seed=seed,
        overwrite=False,
        objective="val_loss",
        hyperparameters=hyperparameters,
        **options,
    )
    try:
        model.fit(
            *training,
            validation_data=validation,
            epochs=recipe.search_epochs,
            batch_size=recipe.batch_size,
            # Where this is given, AutoKeras does not train the best trial a second time.
            callbacks=[keras.callbacks.EarlyStopping(patience=10, min_delta=1e-4)],
            verbose=0,
        )
    except RuntimeError as error:
        raise TrainingError(f"the search failed: {error}") from error
    trials = _finished(model.tuner.oracle.trials.values(), recipe.search_epochs)
    if not trials:
        raise TrainingError("the search finished without a completed trial; see its directory")
    (directory / "leaderboard.md").write_text(leaderboard_table(trials))
    write_json(leaderboard, [trial.to_json() for trial in trials])
    return trials


def _counted(progress: Callable[[str], None] | None, trials: int) -> Callable[[float], None]:
    """Return what is called with a trial's score and says which of how many it was."""
    finished = 0

    def say(score: float) -> None:
        nonlocal finished
        finished += 1
        if progress is not None:
            # Hyperband chooses the number of trials itself.
            count = f"{finished} of {trials}" if finished <= trials else str(finished)
            progress(f"trial {count}: validation loss {score:.4f}")

    return say


def leaderboard_table(trials: Sequence[Trial]) -> str:
    """Return a leaderboard as a Markdown table, best first.

    Parameters
    ----------
    trials : sequence of Trial
        In the order to show, the best first.

    Returns
    -------
    str
    """
    head = (
        "",
        "score",
        "layers",
        "activation",
        "normalised",
        "skip",
        "optimiser",
        "rate",
        "epochs",
    )
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for place, trial in enumerate(trials, 1):
        chosen = trial.architecture
        cells = (
            str(place),
            f"{trial.score:.5f}",
            f"{len(chosen.units)} x {chosen.units[0]}",
            chosen.activation,
            "yes" if chosen.normalisation else "no",
            "yes" if chosen.skip else "no",
            trial.optimizer,
            f"{trial.learning_rate:g}",
            str(trial.epochs),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _block(space: SearchSpace) -> Any:
    import autokeras
    import keras

    @keras.saving.register_keras_serializable("aktes_xr")
    class DenseChain(autokeras.Block):  # type: ignore[misc]
        """The chain of dense layers with this package's choices."""

        def build(self, hp: Any, inputs: Any = None) -> Any:
            (node,) = keras.tree.flatten(inputs)
            return hidden_layers(node, _architecture(hp, space))

    return DenseChain(name=_BLOCK)


def _architecture(hp: Any, space: SearchSpace) -> Architecture:
    width = hp.Choice("width", list(space.width))
    depth = hp.Choice("depth", list(space.depth))
    return Architecture(
        units=(int(width),) * int(depth),
        activation=str(hp.Choice("activation", list(space.activation))),
        # Keras-Tuner's choices are numbers or strings: a bool would come back as either.
        normalisation=bool(int(hp.Choice("normalisation", [int(v) for v in space.normalisation]))),
        skip=bool(int(hp.Choice("skip", [int(v) for v in space.skip]))),
    )


def _finished(trials: Any, epochs: int) -> list[Trial]:
    found = []
    for trial in trials:
        if trial.status != "COMPLETED" or trial.score is None:
            _LOGGER.warning("trial %s of the search ended as %s", trial.trial_id, trial.status)
            continue
        values = trial.hyperparameters.values
        chosen = {key.removeprefix(f"{_BLOCK}/"): value for key, value in values.items()}
        found.append(
            Trial(
                float(trial.score),
                Architecture(
                    (int(chosen["width"]),) * int(chosen["depth"]),
                    str(chosen["activation"]),
                    bool(int(chosen["normalisation"])),
                    bool(int(chosen["skip"])),
                ),
                str(chosen["optimizer"]),
                float(chosen["learning_rate"]),
                int(chosen.get("tuner/epochs", epochs)),
            )
        )
    return sorted(found, key=lambda trial: trial.score)


def read_leaderboard(text: bytes) -> list[Trial]:
    """Read a leaderboard.

    Parameters
    ----------
    text : bytes
        Of ``leaderboard.json``.

    Returns
    -------
    list of Trial
        The best first.
    """
    return [_trial_from_json(entry) for entry in json.loads(text)]


def _trial_from_json(entry: dict[str, Any]) -> Trial:
    settings = entry["architecture"]
    architecture = Architecture(**{**settings, "units": tuple(settings["units"])})
    return Trial(
        entry["score"],
        architecture,
        entry["optimizer"],
        entry["learning_rate"],
        entry.get("epochs", 0),
    )


RESULTS: Final = "trials.json"
"""Scores of finished trials, by number and choices."""
PROJECT: Final = "search"
_STATE: Final = ("oracle.json", "tuner0.json")


def remembering_tuner(
    tuner: str,
    directory: Path,
    seed: int,
    *,
    progress: Callable[[float], None] | None = None,
) -> Any:
    """Return the class of an AutoKeras tuner that answers from the results of finished trials.

    Parameters
    ----------
    tuner : {"random", "greedy", "hyperband"}
    directory : Path
        Of the search; the tuner's own state in it is forgotten, the trials' weights are kept.
    seed : int
    progress : callable, optional
        Called with the score of each finished trial.

    Returns
    -------
    type
        Of `autokeras.engine.tuner.AutoTuner`.

    Raises
    ------
    TrainingError
        There is no such tuner.
    """
    import keras
    import keras_tuner
    from autokeras.tuners import Greedy, Hyperband, RandomSearch

    known: dict[str, Any] = {"random": RandomSearch, "greedy": Greedy, "hyperband": Hyperband}
    if tuner not in known:
        raise TrainingError(f"found tuner {tuner!r}, expected one of {', '.join(known)}")
    for name in _STATE:
        (directory / PROJECT / name).unlink(missing_ok=True)
    results, base = directory / RESULTS, known[tuner]

    class Remembering(base):  # type: ignore[misc, valid-type]
        """The tuner, replaying."""

        def run_trial(self, trial: Any, *arguments: Any, **options: Any) -> Any:
            remembered = json.loads(results.read_text()) if results.exists() else {}
            chosen = json.dumps(trial.hyperparameters.values, sort_keys=True)
            key = f"{trial.trial_id} {chosen}"
            if key not in remembered:
                keras.utils.set_random_seed(seed)
                (history,) = super().run_trial(trial, *arguments, **options)
                name = self.oracle.objective.name
                remembered[key] = {name: float(min(history.history[name]))}
                write_json(results, remembered)
                _LOGGER.info("trial %s: %s", key, remembered[key])
            if progress is not None:
                progress(remembered[key][self.oracle.objective.name])
            # The next choice must not depend on whether this trial was run or remembered.
            keras.utils.set_random_seed(seed + 1 + int(trial.trial_id))
            return remembered[key]

        def _build_hypermodel(self, hp: Any) -> Any:
            # Hyperband's own reads a file that AutoKeras does not write.
            model = keras_tuner.Tuner._build_hypermodel(self, hp)
            # This makes weights be read with the optimiser's state, so that training can go on from
            # there.
            model.optimizer.build(model.trainable_variables)
            if "tuner/trial_id" in hp.values:
                model.load_weights(self._get_checkpoint_fname(hp.values["tuner/trial_id"]))
            return model

    return Remembering
