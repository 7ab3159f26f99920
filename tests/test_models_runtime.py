from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import pytest
from random_bundle import random_bundle

from aktes_xr.errors import BundleError
from aktes_xr.models import Bundle
from aktes_xr.models.runtime import BundleReference, register, resolve


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return random_bundle(tmp_path / "random")


def test_a_process_resolves_to_its_own_copy(bundle: Bundle) -> None:
    reference = register(bundle)
    assert pickle.loads(pickle.dumps(reference)) == reference
    assert resolve(reference) is resolve(BundleReference(bundle.sha256, "elsewhere"))


@pytest.mark.parametrize(
    "signed",
    ["https://host.example/b.zip?sig=SECRET", "https://user:SECRET@host.example/b.zip"],
)
def test_a_signature_never_reaches_a_task(bundle: Bundle, signed: str) -> None:
    reference = register(dataclasses.replace(bundle, location=signed))
    assert "SECRET" not in str(reference)
    assert reference.location == "https://host.example/b.zip"
    assert resolve(reference).name == "random"
    # In a process that has not loaded it:
    foreign = dataclasses.replace(reference, sha256="0" * 64)
    with pytest.raises(BundleError, match="no task carries"):
        resolve(foreign)
