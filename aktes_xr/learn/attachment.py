"""Writing a bundle again with something beside its networks: a cloud test, a domain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aktes_xr.errors import InputError
from aktes_xr.learn.card import with_section
from aktes_xr.models.bundle import MODEL_CARD, Bundle, BundleContents, write_bundle


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
