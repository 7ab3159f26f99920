"""The house rules that a machine can check: who imports whom, what lies where."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "aktes_xr"

# Arrows go downwards only: a room may import from its own floor and from those above it here.
FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "version", "documents", "compilation", "machine", "sensor", "data"}),
    frozenset({"catalog", "cube"}),
    frozenset({"radiative", "store", "validation", "report"}),
    frozenset({"terrain"}),
    frozenset({"ancillaries", "baselines", "models", "simulate"}),
    frozenset({"retrieval", "stac", "learn", "tables"}),
    frozenset({"jobs"}),
    frozenset({"accessor", "bench", "cli"}),
    frozenset({"__main__"}),
)
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor}
TRAINING = frozenset({"tensorflow", "keras", "autokeras", "keras_tuner", "tensorboard"})
MAY_TRAIN = frozenset({"learn", "bench"})
MAY_START_A_CLUSTER = frozenset({"jobs", "cli", "bench"})
STARTS_NONE = frozenset(
    {
        "distributed.as_completed",
        "distributed.futures_of",
        "distributed.system.MEMORY_LIMIT",
    }
)


@dataclass(frozen=True)
class Import:
    """One imported module, where it is written and whether it runs with the file."""

    module: str
    line: int
    at_import: bool


def sources() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "__pycache__" not in p.parts)


def room(path: Path) -> str:
    """First level below the package: ``terrain`` for aktes_xr/terrain/kernels.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree: ast.Module) -> Iterator[Import]:
    """Every import of a file; those under a function or TYPE_CHECKING do not run with it."""

    def visit(node: ast.AST, at_import: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, child.lineno, at_import)
            elif isinstance(child, ast.ImportFrom):
                assert child.module is not None, "relative imports are banned"
                for alias in child.names:
                    yield Import(f"{child.module}.{alias.name}", child.lineno, at_import)
            else:
                postponed = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
                yield from visit(child, at_import and not postponed and not typing_only)

    yield from visit(tree, True)


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name; a package's is that of its ``__init__``."""
    named = {}
    for path in sources():
        parts = path.relative_to(ROOT).with_suffix("").parts
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


def modules_imported(path: Path, known: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Modules of the package that a file imports anywhere, function bodies included."""
    for found in imports(ast.parse(path.read_text(encoding="utf-8"))):
        if found.module.partition(".")[0] == "aktes_xr":
            parent = found.module.rpartition(".")[0]
            yield (found.module if found.module in known else parent), found.line


def listed_files() -> list[Path]:
    """Files that are, or would be, under version control."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [ROOT / line for line in done.stdout.splitlines() if (ROOT / line).is_file()]


def test_every_room_has_a_floor() -> None:
    unknown = {room(p) for p in sources()} - set(FLOOR) - {"__init__"}
    assert not unknown, f"give these a floor in design and here: {sorted(unknown)}"


def test_imports_point_downwards() -> None:
    known = modules()
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {target}"
        for name, path in known.items()
        if name != "aktes_xr"
        for target, line in modules_imported(path, known)
        if FLOOR[target.split(".")[1]] > FLOOR[room(path)]
    ]
    assert not wrong, "\n".join(wrong)


def test_no_module_imports_the_package_it_lies_in() -> None:
    known = modules()
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {target}"
        for name, path in known.items()
        for target, line in modules_imported(path, known)
        if name.startswith(f"{target}.")
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    known = modules()
    graph = {
        name: {target for target, _ in modules_imported(path, known)} - {name}
        for name, path in known.items()
        if name != "aktes_xr"
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_training_packages_are_imported_only_inside_functions_that_train() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{found.line} imports {found.module}"
        for path in sources()
        for found in imports(ast.parse(path.read_text(encoding="utf-8")))
        if found.module.partition(".")[0] in TRAINING
        and (found.at_import or room(path) not in MAY_TRAIN)
    ]
    assert not wrong, "\n".join(wrong)


def test_only_the_top_floors_start_a_cluster_and_none_on_import() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{found.line} imports {found.module}"
        for path in sources()
        for found in imports(ast.parse(path.read_text(encoding="utf-8")))
        if found.module.startswith(("distributed", "dask.distributed", "dask_kubernetes"))
        and (found.at_import or room(path) not in MAY_START_A_CLUSTER)
        and (found.at_import or found.module not in STARTS_NONE)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_assert_and_no_blanket_except_in_the_package() -> None:
    wrong = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assert):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} assert")
            if isinstance(node, ast.ExceptHandler) and (
                node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            ):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} except {node.type}")
    assert not wrong, "\n".join(wrong)


def test_every_file_is_named_by_a_noun_and_says_what_it_is() -> None:
    for path in sources():
        assert path.stem not in {"utils", "util", "helpers", "common", "misc"}, path
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


def test_root_holds_the_settled_folders_only() -> None:
    folders = {p.relative_to(ROOT).parts[0] for p in listed_files() if p.parent != ROOT}
    visible = {name for name in folders if not name.startswith(".")}
    assert visible <= {"aktes_xr", "notebooks", "deploy", "tests", "catalogs"}


# Written so that this file does not contain what it looks for.
FOREIGN = {
    "somebody's path": r"(?<![\w.:/-])/(?:wor[k]|hom[e]/(?!me\b)[a-z]+|roo[t]|User[s])\b",
    "a package index": r"pythonhoste[d]|--(?:extra-)?inde[x]-url|--find-link[s]|[^\w]pyp[i]\.org",
    "work left over": r"\bTOD[O]\b|\bFIXM[E]\b|\bXX[X]\b",
    "a signed URL": r"[?&](?:si[g]|X-Amz-Signatur[e])=[A-Za-z0-9%+/]{20,}",
}


@pytest.mark.parametrize("what", FOREIGN)
def test_tree_is_free_of(what: str) -> None:
    pattern = re.compile(FOREIGN[what])
    wrong = []
    for path in listed_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        wrong += [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
            for number, line in enumerate(text.splitlines(), 1)
            if pattern.search(line)
        ]
    assert not wrong, "\n".join(wrong)


def test_lock_holds_pinned_versions_only() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins
    for line in pins:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!_-]+( ; .+)?", line), line
