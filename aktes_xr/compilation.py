"""How kernels are compiled, and how their machine code is kept for the next process.

Compiling the kernels of one retrieval takes half a minute and leaves the compiler's own structures,
130 to 190 MB, in the process for good. Both would be paid by every worker and every command anew.
So what was compiled is kept on disk, one file for each kernel and signature, in the user's cache
directory: ``$NUMBA_CACHE_DIR`` or ``$XDG_CACHE_HOME`` or ``~/.cache``.

Numba's own cache is not used. It knows a kernel by its file alone and does not notice that another
file, whose functions were compiled into it, has changed; and processes that compile two signatures
of one kernel at once can mix them up in its index. Here a file's name is a hash of everything the
code depends on (all kernels and what their files import, the versions of Python and Numba, the
processor, the signature), so that no file is ever changed or wrong. Where the directory cannot be
used, kernels are compiled as if there were none.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import pickle
import platform
import re
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numba
import numpy as np
from numba import njit
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
"""What kernels take and give."""

logger = logging.getLogger(__name__)

_VERSIONS_KEPT: Final = 8
_PRIVATE: Final = 0o700
_OTHERS_WRITE: Final = 0o002
_MAKES_A_KERNEL: Final = re.compile(r"^\s*@(?:kernel|overload|intrinsic|njit)\b", re.MULTILINE)
_IMPORT: Final = re.compile(
    r"^[ \t]*(?:from[ \t]+aktes_xr([\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)"
    r"|import[ \t]+aktes_xr([\w.]*))",
    re.MULTILINE,
)


def kernel(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function when it is first called, or load what an earlier process compiled.

    The kernel releases the interpreter's lock and starts no threads: Dask gives the parallelism.

    Parameters
    ----------
    **options
        Of `numba.njit`, such as ``error_model="numpy"``.

    Returns
    -------
    callable
        The decorator.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        compiled: Any = njit(nogil=True, **options)(function)
        if hasattr(compiled, "enable_caching"):
            # Where compilation is switched off (NUMBA_DISABLE_JIT) it is the function itself.
            compiled._cache = _KernelCache(function)
        return compiled

    return decorate


def cache_directory() -> Path:
    """Return where the machine code of this version of the package is kept."""
    named = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    home = Path(named) if named else Path(os.path.expanduser("~")) / ".cache"
    return home / "aktes_xr" / _version()


@functools.cache
def _version() -> str:
    """Hash of all that machine code depends on but its own signature and processor."""
    digest = hashlib.sha256(f"{platform.python_version()} {numba.__version__}".encode())
    package = Path(__file__).parent
    for path in _sources(package):
        digest.update(f"{path.relative_to(package)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _sources(package: Path) -> list[Path]:
    """Return the files that make kernels and all that these import, to the last: sorted.

    A kernel takes other files' functions and constants into its code. What no kernel can reach,
    such as a command's text, may change without a compilation.
    """
    texts = {path: path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    waiting = [path for path, text in texts.items() if _MAKES_A_KERNEL.search(text)]
    found = set(waiting)
    while waiting:
        for place, names, whole in _IMPORT.findall(texts[waiting.pop()]):
            folder = package.joinpath(*(place or whole).split("."))
            modules = [folder, *(folder / name for name in re.findall(r"\w+", names))]
            for module in modules:
                for path in (module.with_suffix(".py"), module / "__init__.py"):
                    if path in texts and path not in found:
                        found.add(path)
                        waiting.append(path)
    return sorted(found)


class _KernelCache(_Cache):
    """Machine code of one kernel, by signature: what Numba's dispatcher asks for and hands over."""

    def __init__(self, function: Callable[..., Any]) -> None:
        code = function.__code__
        self._name = f"{function.__module__}.{function.__qualname__}-{code.co_firstlineno}"
        self._enabled = True

    @property
    def cache_path(self) -> str:
        return str(cache_directory())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        if not self._enabled:
            return None
        target_context.refresh()
        path = self._path(sig, target_context.codegen())
        try:
            if not _is_ours(path.parent):
                return None
            payload: Any = pickle.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            logger.info("could not load a compiled kernel (%s); it is compiled anew", error)
            return None
        return CompileResult._rebuild(target_context, *payload)  # type: ignore[no-untyped-call]

    def save_overload(self, sig: Any, data: Any) -> None:
        if not self._enabled or data.lifted or data.library.has_dynamic_globals:
            return
        path = self._path(sig, data.codegen)
        partial = path.with_suffix(f".{uuid.uuid4().hex}.partial")
        try:
            _make(path.parent)
            if _is_ours(path.parent):
                code: bytes = dumps(data._reduce())  # type: ignore[no-untyped-call]
                partial.write_bytes(code)
                partial.replace(path)
        except OSError as error:
            # On a full or read-only disk the next process compiles again. This one goes on.
            logger.info("could not keep a compiled kernel (%s); it works all the same", error)
            with contextlib.suppress(OSError):
                partial.unlink()
            self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            for path in cache_directory().glob(f"{self._name}-*.kernel"):
                path.unlink()

    def _path(self, sig: Any, codegen: Any) -> Path:
        key = f"{sig} {codegen.magic_tuple()}"
        code = hashlib.sha256(key.encode()).hexdigest()[:24]
        return cache_directory() / f"{self._name}-{code}.kernel"


def _make(directory: Path) -> None:
    """Make the directory of this version; of older versions the last few stay."""
    if directory.is_dir():
        return
    directory.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    others = [path for path in directory.parent.iterdir() if path.is_dir() and path != directory]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[_VERSIONS_KEPT - 1 :]:
        shutil.rmtree(path, ignore_errors=True)


def _is_ours(directory: Path) -> bool:
    """Return whether nobody else can have put code into the directory."""
    found = directory.stat()
    owned = not hasattr(os, "getuid") or found.st_uid in (0, os.getuid())
    return owned and not found.st_mode & _OTHERS_WRITE
