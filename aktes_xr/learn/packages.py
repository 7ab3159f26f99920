"""What training needs and retrieval does not, checked before hours of work begin."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from aktes_xr.errors import DependencyError

PACKAGES: Final = ("tensorflow", "keras", "autokeras", "keras_tuner")


def check_training_packages() -> None:
    """Refuse to train where a package for it is not installed.

    Raises
    ------
    DependencyError
        One is missing; the message says what to install.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise DependencyError(
            f"training needs {', '.join(missing)}, which this installation was made without; run: "
            "pip install tensorflow autokeras 'keras>=3.12,<3.13' tensorboard"
        )
