from __future__ import annotations

import inspect
import os
import tomllib
from pathlib import Path

import numpy as np
import pytest

from aktes_xr import compilation
from aktes_xr.compilation import cache_directory, kernel


def triple(x: np.ndarray) -> np.ndarray:
    return 3 * x


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    return cache_directory()


def hits(compiled: object) -> int:
    return sum(compiled.stats.cache_hits.values())  # type: ignore[attr-defined]


def run(values: np.ndarray) -> int:
    """Call a kernel that knows of no other one, as a new process does; return what was loaded."""
    compiled = kernel()(triple)
    np.testing.assert_array_equal(compiled(values), 3 * values)
    return hits(compiled)


def test_the_next_process_loads_what_this_one_compiled(cache: Path) -> None:
    assert run(np.arange(3.0)) == 0
    assert len(list(cache.iterdir())) == 1
    assert run(np.arange(5.0)) == 1
    assert run(np.arange(3)) == 0, "another signature is another kernel"
    assert len(list(cache.iterdir())) == 2
    assert cache.stat().st_mode & 0o077 == 0


def test_a_flushed_cache_is_empty(cache: Path) -> None:
    compiled = kernel()(triple)
    compiled(np.arange(3.0))
    compiled._cache.flush()
    assert not list(cache.iterdir())
    assert run(np.arange(3.0)) == 0


@pytest.mark.parametrize("content", [b"", b"\x80\x05K", b"no pickle at all"])
def test_a_broken_file_is_compiled_anew(cache: Path, content: bytes) -> None:
    run(np.arange(3.0))
    (path,) = cache.iterdir()
    path.write_bytes(content)
    assert run(np.arange(3.0)) == 0
    assert run(np.arange(3.0)) == 1


def test_without_a_place_kernels_work_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    assert run(np.arange(3.0)) == 0
    assert run(np.arange(3.0)) == 0


def test_what_others_may_write_is_not_run(cache: Path) -> None:
    run(np.arange(3.0))
    cache.chmod(0o777)
    assert run(np.arange(3.0)) == 0
    assert len(list(cache.iterdir())) == 1


def test_another_version_of_the_package_loads_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(np.arange(3.0))
    monkeypatch.setattr(compilation, "_version", lambda: "another")
    assert run(np.arange(3.0)) == 0
    assert cache_directory() != cache


def test_of_old_versions_a_few_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    for number in range(12):
        monkeypatch.setattr(compilation, "_version", lambda number=number: f"version-{number:02d}")
        run(np.arange(3.0))
        os.utime(cache_directory(), (number, number))
    kept = sorted(path.name for path in cache_directory().parent.iterdir())
    assert kept == [f"version-{number:02d}" for number in range(4, 12)]


def test_the_version_is_of_all_that_kernels_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilation, "__file__", str(tmp_path / "compilation.py"))
    (tmp_path / "room").mkdir()
    sources = {
        "room/__init__.py": "",
        "room/kernels.py": "from aktes_xr.room import (\n    wall,\n)\n@kernel()\ndef f(): ...",
        "room/wall.py": "import aktes_xr.door",
        "door.py": "x = 1",
        "text.py": "from aktes_xr.room.kernels import f",
    }
    for name, text in sources.items():
        (tmp_path / name).write_text(text)
    before = compilation._version.__wrapped__()
    for name, reached in [
        ("text.py", False),
        ("door.py", True),
        ("room/wall.py", True),
        ("room/kernels.py", True),
        ("room/__init__.py", True),
    ]:
        with (tmp_path / name).open("a") as file:
            file.write("\ny = 2\n")
        after = compilation._version.__wrapped__()
        assert (after != before) == reached, name
        before = after


def test_what_kept_kernels_take_from_numba_is_there_and_capped() -> None:
    """They use private parts of Numba: a version that lacks one must not be installed."""
    from numba.core import caching, compiler, serialize

    parameters = {
        name: list(inspect.signature(getattr(caching._Cache, name)).parameters)
        for name in ("load_overload", "save_overload", "enable", "disable", "flush")
    }
    assert parameters["load_overload"][1:] == ["sig", "target_context"]
    assert parameters["save_overload"][1:] == ["sig", "data"]
    assert callable(compiler.CompileResult._rebuild)
    assert callable(compiler.CompileResult._reduce)
    assert callable(serialize.dumps)
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    (pin,) = [line for line in project["dependencies"] if line.startswith("numba")]
    assert "<" in pin
