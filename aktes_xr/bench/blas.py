"""One BLAS thread, for the matrix rate that the networks' passes are compared with.

Nothing in numpy's API sets the number; NumPy's own wheels bundle OpenBLAS, whose entry points are
called here. With another BLAS (MKL, Accelerate) nothing is changed, and the environment variables
of that library decide (``OMP_NUM_THREADS=1``).
"""

from __future__ import annotations

import ctypes
import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

_LOGGER = logging.getLogger(__name__)


class _Entry(NamedTuple):
    get: ctypes._NamedFuncPointer
    set: ctypes._NamedFuncPointer


@functools.cache
def _openblas() -> _Entry | None:
    root = Path(np.__file__).parent
    for folder in (root.parent / "numpy.libs", root / ".libs", root / ".dylibs"):
        for path in sorted(folder.glob("*openblas*")):
            library = ctypes.CDLL(str(path))
            for prefix, suffix in (("scipy_", "64_"), ("scipy_", ""), ("", "64_"), ("", "")):
                get = getattr(library, f"{prefix}openblas_get_num_threads{suffix}", None)
                put = getattr(library, f"{prefix}openblas_set_num_threads{suffix}", None)
                if get is not None and put is not None:
                    get.restype, put.argtypes = ctypes.c_int, [ctypes.c_int]
                    return _Entry(get, put)
    _LOGGER.info("numpy bundles no OpenBLAS here: the BLAS library's own thread settings hold")
    return None


@contextmanager
def single_blas_thread() -> Iterator[None]:
    """Hold OpenBLAS at one thread."""
    entry = _openblas()
    if entry is None:
        yield
        return
    before = entry.get()
    entry.set(1)
    try:
        yield
    finally:
        entry.set(before)
