"""What a training was like, epoch by epoch: kept in the run's folder, and then in its bundle."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from aktes_xr.documents import write_json

FILE: Final = "history.json"
_PACKAGES: Final = ("keras", "autokeras", "numpy")


@dataclass(frozen=True)
class History:
    """One network's training.

    Attributes
    ----------
    network : str
    loss : tuple of float
        Of the training sample, mean over each epoch; a likelihood, so it may be negative.
    validation_mae_k : tuple of float
        Mean absolute error of the temperature over the validation sample after each epoch, K, with
        ancillaries left out by chance.
    versions : mapping of str to str
        Of Python and the packages that trained it.
    """

    network: str
    loss: tuple[float, ...]
    validation_mae_k: tuple[float, ...]
    versions: Mapping[str, str]

    @property
    def epochs(self) -> int:
        """How many epochs were trained."""
        return len(self.loss)


def add_epoch(
    directory: Path, network: str, epoch: int, *, loss: float, validation_mae_k: float
) -> None:
    """Write down an epoch of a network's training.

    Parameters
    ----------
    directory : Path
        Of the run.
    network : str
    epoch : int
        From 0. What the file says of this epoch and later ones is replaced: after a kill, the epoch
        that was not finished is trained again.
    loss : float
    validation_mae_k : float, K
    """
    file = directory / FILE
    known = {one.network: one for one in read_histories(file)}
    before = known.get(network, History(network, (), (), {}))
    known[network] = History(
        network,
        (*before.loss[:epoch], loss),
        (*before.validation_mae_k[:epoch], validation_mae_k),
        versions(),
    )
    directory.mkdir(parents=True, exist_ok=True)
    write_json(file, [asdict(one) for one in known.values()])


def read_histories(source: Path | bytes) -> list[History]:
    """Read what `add_epoch` or `histories_bytes` wrote.

    Parameters
    ----------
    source : Path or bytes
        A file, which may be missing, or its content.

    Returns
    -------
    list of History
        In the order of the training.
    """
    if isinstance(source, Path):
        source = source.read_bytes() if source.exists() else b"[]"
    return [
        History(
            str(entry["network"]),
            tuple(map(float, entry["loss"])),
            tuple(map(float, entry["validation_mae_k"])),
            dict(entry["versions"]),
        )
        for entry in json.loads(source)
    ]


def histories_bytes(*parts: Iterable[History]) -> bytes:
    """Return histories as JSON for a bundle.

    Parameters
    ----------
    *parts : iterable of History
        Of networks of the same name the last one counts.

    Returns
    -------
    bytes
    """
    known = {one.network: one for part in parts for one in part}
    return (json.dumps([asdict(one) for one in known.values()], indent=1) + "\n").encode()


def versions() -> dict[str, str]:
    """Name the versions of Python and of the packages that train.

    Returns
    -------
    dict of str to str
    """
    return {"Python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
