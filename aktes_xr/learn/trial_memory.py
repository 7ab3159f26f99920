"""AutoKeras's tuners with a memory of finished trials that a kill cannot tear.

A tuner resumes from state files of its own, some per trial and two per search, none written in one
step: a kill can leave one torn, or two at odds, so that a trial is lost, counted twice, or the
search cannot go on. Here a search is a function of its seed instead: the random state is set anew
before each trial and before each of the tuner's choices. A rerun replays the search from its
beginning, and every trial that had finished answers from `RESULTS`, which is replaced in one step
after each trial.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, Final

from aktes_xr.errors import TrainingError

_LOGGER = logging.getLogger(__name__)

RESULTS: Final = "trials.json"
"""Scores of finished trials, by number and choices."""
PROJECT: Final = "search"
_STATE: Final = ("oracle.json", "tuner0.json")


def remembering_tuner(tuner: str, directory: Path, seed: int) -> Any:
    """Return the class of an AutoKeras tuner that answers from the results of finished trials.

    Parameters
    ----------
    tuner : {"random", "greedy", "hyperband"}
    directory : Path
        Of the search; the tuner's own state in it is forgotten, the trials' weights are kept.
    seed : int

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
                replace_json(results, remembered)
                _LOGGER.info("trial %s: %s", key, remembered[key])
            # The next choice must not depend on whether this trial was run or remembered.
            keras.utils.set_random_seed(seed + 1 + int(trial.trial_id))
            return remembered[key]

        def _build_hypermodel(self, hp: Any) -> Any:
            # Hyperband's own reads a file that AutoKeras does not write.
            model = keras_tuner.Tuner._build_hypermodel(self, hp)
            # So that weights are read with the optimiser's state, and trained on from there.
            model.optimizer.build(model.trainable_variables)
            if "tuner/trial_id" in hp.values:
                model.load_weights(self._get_checkpoint_fname(hp.values["tuner/trial_id"]))
            return model

    return Remembering


def replace_json(path: Path, content: Any) -> None:
    """Write JSON beside a file, then rename: whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(path)
