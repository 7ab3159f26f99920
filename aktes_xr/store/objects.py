"""A place in an object store: claimed by a lease, and replaced by one conditional write.

Object stores cannot rename. Each result is written below a prefix of its own,
``ADDRESS/.versions/ID``. ``ADDRESS/zarr.json`` is a Zarr group whose attribute `CURRENT` names the
version that readers see. That one small object is written last, and only if it has not changed
since the writing began. So a reader sees the old result or the new one. Of two runs that did not
know of each other, only one takes effect.

A lease keeps two runs apart before they begin (`aktes_xr.store.lease`).
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from aktes_xr.errors import StoreError, StoreExistsError
from aktes_xr.store.address import ObjectAddress, object_store
from aktes_xr.store.lease import LEASE, Lease, Tag, tag_of

CURRENT: Final = "aktes:current"
"""Attribute of the group at the address: below which prefix the result lies."""
_VERSIONS: Final = ".versions"
_POINTER: Final = "zarr.json"


@dataclass(frozen=True)
class ObjectDraft:
    """A store that is being written below a prefix of its own.

    Attributes
    ----------
    address : where its blocks are written
    previous : address of the store it will replace, or None
    """

    address: str
    previous: str | None
    _store: Any
    _name: str
    _pointer_tag: Tag | None
    _lease: Lease

    def publish(self) -> None:
        """Make this version the result that readers see.

        Raises
        ------
        StoreExistsError
            What is in place is not what was there when the writing began; it is left as it is.
        StoreBusyError
            The lease was lost: this run was away for longer than it lasts.
        """
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        self._lease.renew()
        version = self.address.rsplit("/", 1)[-1]
        group = {
            "zarr_format": 3,
            "node_type": "group",
            "attributes": {CURRENT: f"{_VERSIONS}/{version}"},
        }
        tag = self._pointer_tag
        try:
            self._store.put(
                _POINTER,
                json.dumps(group).encode(),
                mode="create" if tag is None else tag,
            )
        except (AlreadyExistsError, PreconditionError) as error:
            raise StoreExistsError(
                f"{self._name} was made or changed while the new result was computed: it is left "
                "as it is and the new result is dropped; choose another place"
            ) from error


@contextlib.contextmanager
def claim_object(target: ObjectAddress, *, overwrite: bool) -> Iterator[ObjectDraft]:
    """Hold a place against other runs while the block writes a store for it.

    Parameters
    ----------
    target : ObjectAddress
    overwrite : bool
        Whether a result there may be replaced.

    Yields
    ------
    ObjectDraft

    Raises
    ------
    StoreExistsError
        There is something in the place, and it was not to be, or must not be, replaced.
    StoreBusyError
        Another run holds the place.
    StoreError
        The object store does not answer, or refuses.
    """
    with object_errors(target.name):
        store = object_store(target.url)
        _refuse_unless_free(store, target.name, overwrite)
        with Lease(store, target.name) as lease:
            tag, current = _refuse_unless_free(store, target.name, overwrite)
            _sweep(store, current)
            previous = None if current is None else f"{target.url}/{current}"
            address = f"{target.url}/{_VERSIONS}/{uuid.uuid4().hex}"
            try:
                yield ObjectDraft(address, previous, store, target.name, tag, lease)
            finally:
                with contextlib.suppress(StoreError):
                    lease.renew()
                    _sweep(store, _pointer(store)[1])


def current_version(target: ObjectAddress) -> str | None:
    """Return the address of the version that readers see; None where there is none.

    Parameters
    ----------
    target : ObjectAddress

    Raises
    ------
    StoreError
        The object store does not answer, or refuses.
    """
    with object_errors(target.name):
        tag, current = _pointer(object_store(target.url))
    if tag is None:
        return None
    return target.url if current is None else f"{target.url}/{current}"


@contextlib.contextmanager
def object_errors(name: str) -> Iterator[None]:
    """Turn an object store's errors into this package's.

    The text of the original may hold signed addresses, so it is not passed on.

    Parameters
    ----------
    name : str
        Name of the store in the message.

    Raises
    ------
    StoreError
        In place of the object store's error.
    """
    from obstore.exceptions import BaseError

    try:
        yield
    except BaseError as error:
        kind = type(error).__name__.removesuffix("Error")
        raise StoreError(
            f"the object store failed for {name} ({kind}); check endpoint, credentials and rights "
            "in the environment, and try again"
        ) from None


def _refuse_unless_free(store: Any, name: str, overwrite: bool) -> tuple[Tag | None, str | None]:
    tag, current = _pointer(store)
    if tag is not None and not overwrite:
        raise StoreExistsError(
            f"{name} exists; choose another place, or replace it with overwrite=True"
        )
    known = (LEASE, _POINTER)
    listed = store.list_with_delimiter()
    foreign = [str(entry["path"]) for entry in listed["objects"]] + list(listed["common_prefixes"])
    foreign = [path for path in foreign if path.strip("/") not in (*known, _VERSIONS)]
    if foreign:
        raise StoreExistsError(
            f"{name} holds more than a result that was written here ({foreign[0]}): it is not "
            "replaced; choose another place"
        )
    return tag, current


def _pointer(store: Any) -> tuple[Tag | None, str | None]:
    """Return the pointer's tag and what it names: None where there is none."""
    try:
        found = store.get(_POINTER)
    except FileNotFoundError:
        return None, None
    try:
        named = json.loads(bytes(found.bytes()))["attributes"][CURRENT]
    except (ValueError, KeyError, TypeError):
        named = None
    return tag_of(found.meta), named


def _sweep(store: Any, current: str | None) -> None:
    """Remove every version but the one that counts."""
    for batch in store.list(_VERSIONS):
        gone = [entry["path"] for entry in batch if not _below(entry["path"], current)]
        if gone:
            store.delete(gone)


def _below(path: str, current: str | None) -> bool:
    return current is not None and path.startswith(f"{current}/")
