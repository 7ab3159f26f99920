"""One BLAS thread inside a task.

Dask gives the parallelism: a matrix product that starts threads of its own inside each of several
tasks makes them wait for one another (a student-size network ran at 0.7 of its single-thread
rate). Nothing in numpy's API sets the number; NumPy's own wheels bundle OpenBLAS, whose entry
points are called here. With another BLAS (MKL, Accelerate) nothing is changed, and the environment
variables of that library decide (``OMP_NUM_THREADS=1``, which Dask's nanny sets).
"""

from __future__ import annotations

import ctypes
import functools
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

_LOGGER = logging.getLogger(__name__)
_LOCK: Final = threading.Lock()
_depth = 0
_before = 0


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
    """Hold OpenBLAS at one thread while any task is inside; the last one out restores it."""
    global _depth, _before
    entry = _openblas()
    if entry is None:
        yield
        return
    with _LOCK:
        if _depth == 0:
            _before = entry.get()
            entry.set(1)
        _depth += 1
    try:
        yield
    finally:
        with _LOCK:
            _depth -= 1
            if _depth == 0:
                entry.set(_before)
