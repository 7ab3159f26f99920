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

    figure = Figure(figsize=(5.8, 1.2 + 0.36 * len(trials)), layout="constrained")
    axis = figure.subplots()
    places = range(len(trials))
    colours = [_CHOSEN if trial.architecture == chosen else _OTHER for trial in trials]
    axis.barh(places, [trial.score for trial in trials], color=colours)
    for place, trial in enumerate(trials):
        words = f" {trial.score:.3f} ({cost(trial.architecture) / 1000.0:.0f})"
        axis.text(trial.score, place, words, va="center", fontsize="small")
    axis.set_yticks(places, [described(trial) for trial in trials], fontsize="small")
    axis.invert_yaxis()
    axis.set_xlabel(
        "mean squared error over the validation sample\n"
        "(in brackets: work of a pixel, 1,000 products)",
        fontsize="small",
    )
    # Room for the words beside the longest bar.
    axis.margins(x=0.3)
    axis.set_xlim(left=0.0)
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
    error goes on falling: the lower chart says how good the network is.

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

    # One above the other, so that both can be read on a narrow page.
    figure = Figure(figsize=(5.8, 6.0), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    for number, history in enumerate(histories):
        colour = _LINES[number % len(_LINES)]
        epochs = range(1, history.epochs + 1)
        above.plot(epochs, history.loss, color=colour, label=history.network)
        below.plot(epochs, history.validation_mae_k, color=colour, label=history.network)
        below.annotate(
            f"{history.validation_mae_k[-1]:.3f} K",
            (history.epochs, history.validation_mae_k[-1]),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
            color=colour,
        )
    above.set_ylabel("training loss (weighed log-likelihood)")
    below.set_ylabel("validation MAE of the temperature (K)")
    for axis in (above, below):
        axis.grid(linewidth=0.4, color="0.88")
        axis.spines[["top", "right"]].set_visible(False)
    below.set_xlabel("epoch")
    # Room for the last value beside the end of its line.
    below.margins(x=0.14)
    above.legend(frameon=False, fontsize="small", loc="upper right")
    return figure


def write_training_figures(
    folder: Path,
    trials: Sequence[Trial],
    histories: Sequence[History],
    *,
    chosen: Architecture | None = None,
    clouds: Figure | None = None,
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
    clouds : matplotlib.figure.Figure, optional
        How reliable the probability of cloud is.

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
    if clouds is not None:
        made["cloud_reliability"] = clouds
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in made.items():
        for ending in ("png", "svg"):
            written.append(folder / f"{name}.{ending}")
            figure.savefig(written[-1], dpi=_DPI)
    return written
