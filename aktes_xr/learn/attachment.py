"""Writing a bundle again with something beside its networks: a cloud test, a domain."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from aktes_xr.errors import InputError, TrainingError
from aktes_xr.learn.card import with_section
from aktes_xr.models.bundle import MODEL_CARD, Bundle, BundleContents, load_bundle, write_bundle


def silent(line: str) -> None:
    """Say nothing of a step.

    Parameters
    ----------
    line : str
    """
    del line


class Part(Protocol):
    """What a bundle may hold beside its networks."""

    def files(self) -> dict[str, bytes]:
        """Return the files that keep it, by name."""
        ...


P = TypeVar("P", bound=Part)


@dataclass(frozen=True)
class Kind(Generic[P]):
    """A kind of part.

    Attributes
    ----------
    name : str
        Such as ``"cloud test"``.
    files : tuple of str
        That keep it.
    recipe_file : str
        Where a bundle keeps what the part was trained by.
    heading : str
        Of its section in the model card.
    of : callable
        Returns a bundle's part; None where it has none.
    describe : callable
        Returns the text of the section.
    judged : tuple of str
        Files that say how good the part is; they go when another part takes its place.
    """

    name: str
    files: tuple[str, ...]
    recipe_file: str
    heading: str
    of: Callable[[Bundle], P | None]
    describe: Callable[[P], str]
    judged: tuple[str, ...] = ()


def attach_part(
    kind: Kind[P],
    out: Path,
    *,
    bundle: str,
    recipe: Any | None,
    of: str | None,
    train: Callable[[Any], P],
    overwrite: bool,
) -> Path:
    """Write a bundle again with a part: newly trained, or that of another bundle.

    Parameters
    ----------
    kind : Kind
    out : Path
        Directory to write.
    bundle : str
        Name, path or URL of the bundle whose networks are kept.
    recipe : dataclass, optional
        How to train.
    of : str, optional
        A bundle whose part is taken over instead.
    train : callable
        Trains a part by a recipe.
    overwrite : bool
        Replace what is at ``out``, which may be the bundle itself.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    InputError
        Neither or both of recipe and bundle are given, or ``out`` exists.
    TrainingError
        The other bundle has no such part.
    """
    if (recipe is None) == (of is None):
        raise InputError(
            f"name either a recipe to train by or a bundle to take the {kind.name} from"
        )
    check_place(out, overwrite=overwrite)
    # An earlier part may be one that this package cannot read any more.
    loaded = load_bundle(bundle, without=kind.files)
    if recipe is None:
        other = load_bundle(str(of))
        taken = kind.of(other)
        if taken is None:
            raise TrainingError(f"the bundle {of} has no {kind.name} to take over")
        part, told = taken, other.extras.get(kind.recipe_file)
    else:
        part = train(recipe)
        told = (json.dumps(asdict(recipe), indent=1, sort_keys=True) + "\n").encode()
    files = part.files()
    if told is not None:
        files[kind.recipe_file] = told
    card = (kind.heading, kind.describe(part))
    kept = {name: data for name, data in loaded.extras.items() if name not in kind.judged}
    return attach(replace(loaded, extras=kept), files, out, card=card, overwrite=overwrite)


def check_place(out: Path, *, overwrite: bool) -> None:
    """Refuse a place that is taken, before anything is trained.

    Parameters
    ----------
    out : Path
        Directory to write.
    overwrite : bool
        Replace what is there.

    Raises
    ------
    InputError
    """
    if out.exists() and not overwrite:
        raise InputError(f"{out.name} exists: choose another directory or pass --overwrite")


def attach(
    bundle: Bundle,
    files: Mapping[str, bytes],
    out: Path,
    *,
    card: tuple[str, str],
    overwrite: bool = False,
) -> Path:
    """Write a bundle again with further files; its networks and the others stay as they are.

    Parameters
    ----------
    bundle : Bundle
    files : mapping of str to bytes
        By name; those of the same name are replaced.
    out : Path
        Directory to write, which may be the bundle itself.
    card : tuple of str
        Heading and text of a section of the model card, which replaces one of that heading.
    overwrite : bool
        Replace what is at ``out``.

    Returns
    -------
    Path
        ``out``.
    """
    extras = {name: data for name, data in bundle.extras.items() if name != MODEL_CARD}
    contents = BundleContents(
        bundle.name,
        tuple(bundle.models.values()),
        with_section(bundle.model_card, *card),
        bundle.fusion,
        extras | dict(files),
    )
    write_bundle(out, contents, overwrite=overwrite)
    return out
