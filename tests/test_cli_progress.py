"""Progress: what is counted, and what a log shows of it."""

from __future__ import annotations

import io
import re
import threading
from typing import Any

import dask
import pytest
from rich.console import Console

import aktes_xr
from aktes_xr.cli import progress


def log() -> Console:
    return Console(file=io.StringIO(), width=100)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@dask.delayed  # type: ignore[untyped-decorator]
def one(number: int) -> int:
    return number


def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Every (done, total) that reaches the meter."""
    seen: list[tuple[int, int]] = []
    update = progress._Meter.update

    def record(self: Any, done: int, total: int) -> None:
        seen.append((done, total))
        update(self, done, total)

    monkeypatch.setattr(progress._Meter, "update", record)
    return seen


def test_local_tasks_are_counted_over_several_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = counted(monkeypatch)
    console = log()
    with progress.watch("retrieve", console):
        dask.compute([one(i) for i in range(3)], scheduler="threads", optimize_graph=False)
        dask.compute([one(i) for i in range(4)], scheduler="threads", optimize_graph=False)
    assert seen[-1] == (7, 7)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert re.fullmatch(r"retrieve: done in \d+\.\d s\n", text(console))


def test_work_outside_the_block_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = counted(monkeypatch)
    with progress.watch("retrieve", log()):
        pass
    dask.compute(one(1))
    assert seen == []


def test_an_error_is_not_called_done() -> None:
    console = log()
    with pytest.raises(ValueError, match="broken"), progress.watch("retrieve", console):
        raise ValueError("broken")
    assert "retrieve: stopped after" in text(console)


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    console = log()
    with progress.watch("retrieve", console):
        dask.compute([one(i) for i in range(2)], scheduler="threads")
    assert "retrieve: 2 of 2 tasks" in text(console)


def test_a_terminal_gets_a_bar_that_goes_away() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with progress.watch("retrieve", console):
        dask.compute([one(i) for i in range(2)], scheduler="threads")
    assert "2/2" in text(console)
    assert "retrieve: done in" in re.sub(r"\x1b\[[0-9;]*\w", "", text(console))


def test_a_cluster_is_asked_for_its_pending_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the scheduler has at most are all; what is gone is done."""
    seen = counted(monkeypatch)
    enough = threading.Event()

    class Client:
        def __init__(self) -> None:
            self.answers = [4, 3, 1, 0]

        def run_on_scheduler(self, function: Any) -> tuple[int, list[str]]:
            if len(self.answers) == 1:
                enough.set()
                return self.answers[0], ["running"]
            return self.answers.pop(0), ["running"]

    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_POLLS", 0.01)
    with progress.watch("retrieve", log(), client=Client()):
        assert enough.wait(10)
    assert seen[:4] == [(0, 4), (1, 4), (3, 4), (4, 4)]


def test_pending_states_are_the_schedulers_own() -> None:
    from distributed.scheduler import ALL_TASK_STATES

    assert progress._PENDING_ON_A_CLUSTER <= set(ALL_TASK_STATES)


def test_a_cluster_that_has_gone_away_does_not_stop_the_watch() -> None:
    class Client:
        def run_on_scheduler(self, function: Any) -> Any:
            raise OSError("in <TCP>: Stream is closed")

    console = log()
    with progress.watch("retrieve", console, client=Client()):
        pass
    assert "done in" in text(console)


def test_compiling_is_said_once() -> None:
    from numba import njit

    console = log()
    with progress.watch("retrieve", console):
        for kind in (1, 1.0):
            njit(lambda value: value + 1)(kind)
    assert text(console).count("retrieve: compiling kernels (once, about half a minute)\n") == 1


def test_steps_that_count_move_the_bar_and_stay_as_lines() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with progress.steps("train", console) as say:
        say("simulating")
        say("teacher: epoch 3 of 20, loss 0.5")
    shown = re.sub(r"\x1b\[[0-9;?]*\w", "", text(console))
    assert "train: teacher: epoch" in shown
    assert "3/20" in shown
    assert "teacher: epoch 3 of 20, loss 0.5" in shown


def test_steps_in_a_log_are_its_lines() -> None:
    console = log()
    with progress.steps("simulate", console) as say:
        say("simulated date 1 of 1")
    assert text(console).startswith("simulated date 1 of 1\nsimulate: done in ")


def test_a_notebook_gets_a_bar() -> None:
    shown = Console(file=io.StringIO(), width=100, force_jupyter=True)
    meter = progress._Meter("retrieve", shown)
    assert not meter._bar.disable


def test_progress_is_at_hand_in_python(capsys: pytest.CaptureFixture[str]) -> None:
    with aktes_xr.progress("add"):
        assert one(2).compute() == 2
    assert "add: done in" in capsys.readouterr().out
