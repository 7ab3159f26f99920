"""A training as figures: the search's leaderboard, and each network's loss from epoch to epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aktes_xr.learn.finals import cost

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from aktes_xr.learn.architecture import Architecture
    from aktes_xr.learn.history import History
    from aktes_xr.learn.search import Trial

_CHOSEN: Final = "#1f3a93"
_OTHER: Final = "#9fb3c8"
_LINES: Final = ("#1f3a93", "#b3261e", "#3a9188", "#9d4edd", "#8a6d00", "#555555")
_DPI: Final = 120


def leaderboard_figure(trials: Sequence[Trial], *, chosen: Architecture | None = None) -> Figure:
    """Draw a search's leaderboard: how good each candidate was, and what it costs.

    Parameters
    ----------
    trials : sequence of Trial
        The best first.
    chosen : Architecture, optional
        The one that was trained on; it is drawn dark.

    Returns
    -------
    matplotlib.figure.Figure
        Not registered with pyplot.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 1.3 + 0.34 * len(trials)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.5, 1.0))
    places = range(len(trials))
    colours = [_CHOSEN if trial.architecture == chosen else _OTHER for trial in trials]
    scores = [trial.score for trial in trials]
    thousands = [cost(trial.architecture) / 1000.0 for trial in trials]
    left.barh(places, scores, color=colours)
    right.barh(places, thousands, color=colours)
    for place, (score, work) in enumerate(zip(scores, thousands, strict=True)):
        left.text(score, place, f" {score:.3f}", va="center", fontsize="small")
        right.text(work, place, f" {work:.0f}", va="center", fontsize="small")
    left.set_yticks(places, [described(trial) for trial in trials], fontsize="small")
    left.invert_yaxis()
    left.set_xlabel("mean squared error (validation)")
    right.set_xlabel("work of a pixel (1,000 products)")
    for axis in (left, right):
        axis.margins(x=0.15)
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def described(trial: Trial) -> str:
    """Name a candidate in a few words.

    Parameters
    ----------
    trial : Trial

    Returns
    -------
    str
        Such as ``"4 x 192 silu, rate 0.003"``.
    """
    found = trial.architecture
    words = f"{len(found.units)} x {found.units[0]} {found.activation}"
    words += ", normalised" if found.normalisation else ""
    words += ", skip" if found.skip else ""
    return f"{words}, rate {trial.learning_rate:g}"


def history_figure(histories: Sequence[History]) -> Figure:
    """Draw loss and validation error of each network from epoch to epoch.

    The loss weighs each pixel by the scale that the network states for it
    (`aktes_xr.learn.losses.laplace_likelihood`). As stated scales shrink, it may rise while the
    error goes on falling: the right-hand chart says how good the network is.

    Parameters
    ----------
    histories : sequence of History
        At least one.

    Returns
    -------
    matplotlib.figure.Figure
        Not registered with pyplot.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    for number, history in enumerate(histories):
        colour = _LINES[number % len(_LINES)]
        epochs = range(1, history.epochs + 1)
        left.plot(epochs, history.loss, color=colour, label=history.network)
        right.plot(epochs, history.validation_mae_k, color=colour, label=history.network)
        right.annotate(
            f"{history.validation_mae_k[-1]:.3f} K",
            (history.epochs, history.validation_mae_k[-1]),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
            color=colour,
        )
    left.set_ylabel("training loss (weighed log-likelihood)")
    right.set_ylabel("validation MAE of the temperature (K)")
    for axis in (left, right):
        axis.set_xlabel("epoch")
        axis.grid(linewidth=0.4, color="0.88")
        axis.spines[["top", "right"]].set_visible(False)
    # Room for the last value beside the end of its line.
    right.margins(x=0.14)
    left.legend(frameon=False, fontsize="small")
    return figure


def write_training_figures(
    folder: Path,
    trials: Sequence[Trial],
    histories: Sequence[History],
    *,
    chosen: Architecture | None = None,
) -> list[Path]:
    """Write the figures of a training, as PNG and as SVG.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    trials : sequence of Trial
        The leaderboard; none, no figure of it.
    histories : sequence of History
        None, no figure of them.
    chosen : Architecture, optional
        The candidate that was trained on.

    Returns
    -------
    list of Path
        What was written.
    """
    made: dict[str, Figure] = {}
    if trials:
        made["leaderboard"] = leaderboard_figure(trials, chosen=chosen)
    if histories:
        made["loss"] = history_figure(histories)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in made.items():
        for ending in ("png", "svg"):
            written.append(folder / f"{name}.{ending}")
            figure.savefig(written[-1], dpi=_DPI)
    return written
