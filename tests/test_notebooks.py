"""Notebooks really run, offline, and are committed as their text says, without outputs.

`make notebooks` runs all of them and keeps what they show for the documentation, in the folder that
it names by ``AKTES_NOTEBOOKS``. Without it the first one is run.
"""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext")
nbformat = pytest.importorskip("nbformat")

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
NAMES = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
NO_NOTEBOOKS = {"conf"}
KEPT = os.environ.get("AKTES_NOTEBOOKS")
FIRST = "quickstart"


def test_each_notebook_has_its_text() -> None:
    assert NAMES
    assert sorted({path.stem for path in NOTEBOOKS.glob("*.py")} - NO_NOTEBOOKS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_its_text_without_outputs(name: str) -> None:
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    text = jupytext.read(NOTEBOOKS / f"{name}.py")
    nbformat.validate(notebook)
    assert [(c.cell_type, c.source) for c in notebook.cells] == [
        (c.cell_type, c.source) for c in text.cells
    ]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
    assert notebook.metadata.jupytext.formats == "ipynb,py:percent"


@pytest.mark.parametrize("name", NAMES)
def test_last_cell_asserts_something(name: str) -> None:
    last = jupytext.read(NOTEBOOKS / f"{name}.py").cells[-1]
    assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(last.source)))


@pytest.mark.parametrize("name", NAMES)
def test_begins_with_a_question(name: str) -> None:
    first = jupytext.read(NOTEBOOKS / f"{name}.py").cells[0]
    assert first.cell_type == "markdown"
    title = first.source.splitlines()[0]
    assert title.startswith("# ")
    assert title.endswith("?")


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", NAMES if KEPT else [FIRST])
def test_notebook_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel chooses its own
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    # A proxy that is not there: whatever tries to leave this machine fails at once.
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute(env={**os.environ, "PYTHONPATH": str(NOTEBOOKS.parent)})
    images = [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert len(images) >= 2
    if KEPT:
        Path(KEPT).mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, Path(KEPT) / f"{name}.ipynb")
