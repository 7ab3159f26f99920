"""Faults at a place on a disk: what appears there, who else writes there, and sudden ends."""

from __future__ import annotations

import random
import resource
import shutil
import signal
import threading
import time
from dataclasses import replace
from typing import Final

from aktes_xr.bench.fault_results import same_result, undisturbed
from aktes_xr.bench.fault_rows import Outcome, fault
from aktes_xr.bench.fault_stage import Ended, Stage
from aktes_xr.store import open_result

_FEW: Final = 3
_LARGEST_FILE: Final = 20_000
_NOTES_SYNCS: Final = """
import os
fsync = os.fsync
def note(handle):
    fsync(handle)
    with open({log!r}, "a") as log:
        print(os.fstat(handle).st_ino, os.path.exists({out!r}), file=log)
os.fsync = note
"""
_PLAIN_RENAMES: Final = """
import ctypes, os, signal, types
from pathlib import Path
CDLL = ctypes.CDLL
def without_exchange(name=None, *rest, **named):
    return types.SimpleNamespace() if name is None else CDLL(name, *rest, **named)
ctypes.CDLL = without_exchange
rename = Path.rename
def dies(self, target):
    rename(self, target)
    os.kill(os.getpid(), signal.SIGKILL)
Path.rename = dies
"""


@fault("replace", expected="2, folder untouched")
def folder_appears(stage: Stage) -> Outcome:
    """A folder appears at --out while a run works."""
    process = stage.start("--overwrite")
    seen = stage.writing(process, blocks=False)
    stage.out.mkdir()
    (stage.out / "photo.jpg").write_text("mine")
    ended = stage.end(process)
    kept = (stage.out / "photo.jpg").is_file() and not stage.left("r.zarr")
    return Outcome(f"{ended}, {_kept(kept)}", seen and kept and ended.code == 2 and ended.plain)


@fault("replace", expected="2, file untouched")
def file_appears(stage: Stage) -> Outcome:
    """A file appears at --out while a run works."""
    process = stage.start("--overwrite")
    seen = stage.writing(process, blocks=False)
    stage.out.write_text("mine")
    ended = stage.end(process)
    kept = stage.out.is_file() and stage.out.read_text() == "mine" and not stage.left("r.zarr")
    return Outcome(f"{ended}, {_kept(kept)}", seen and kept and ended.code == 2 and ended.plain)


@fault("replace", expected="the second 7 with the first's number, one 0")
def two_runs(stage: Stage) -> Outcome:
    """Two runs to one place."""
    first = stage.start()
    seen = stage.writing(first, blocks=False)
    second = stage.run()
    ended = stage.end(first)
    named = f"process {first.pid} on" in second.said
    whole = same_result(open_result(stage.out), undisturbed(stage))
    holds = seen and named and whole and second.code == 7 and ended.code == 0 and second.plain
    return Outcome(f"{ended} and {second}, {'named' if named else 'not named'}", holds)


@fault("replace", expected="6, the old store kept; --accept-worse: 3")
def unreadable_items(stage: Stage) -> Outcome:
    """``--overwrite`` with files that cannot be read."""
    stage.run()
    before = open_result(stage.out).load()
    refused = stage.run("--overwrite", items=stage.broken)
    kept = same_result(open_result(stage.out).load(), before) and not stage.left("r.zarr")
    meant = stage.run("--overwrite", "--accept-worse", items=stage.broken)
    holds = kept and refused.code == 6 and refused.plain and meant.code == 3
    return Outcome(f"{refused}, {_kept(kept)}; then {meant}", holds)


@fault("replace", expected="2 before anything is computed")
def link(stage: Stage) -> Outcome:
    """A link at --out, dangling or not."""
    target = stage.folder / "real.zarr"
    stage.out.symlink_to(target)
    dangling = stage.run()
    stage.run(out=target)
    whole = stage.run("--overwrite")
    untouched = stage.out.is_symlink() and not stage.left("r.zarr", "real.zarr")
    early = "retrieve: stopped after 0." in dangling.said
    holds = dangling.code == whole.code == 2 and untouched and early
    return Outcome(f"{dangling}; {whole}, {_kept(untouched)}", holds)


@fault("replace", expected="the next run finds the old store")
def between_renames(stage: Stage) -> Outcome:
    """Killed between two renames (a file system without exchange)."""
    stage.run()
    before = open_result(stage.out).load()
    killed = stage.run("--overwrite", code=_PLAIN_RENAMES)
    gone = not stage.out.exists()
    refused = stage.run()
    back = same_result(open_result(stage.out).load(), before) and not stage.left("r.zarr")
    holds = killed.code == -signal.SIGKILL and gone and refused.code == 2 and back
    return Outcome(f"{killed}; then {refused}, {_kept(back)}", holds)


@fault("durability", expected="nothing")
def synced(stage: Stage) -> Outcome:
    """What is not on the disk when it is in place."""
    log = stage.folder / "syncs"
    ended = stage.run(code=_NOTES_SYNCS.format(log=str(log), out=str(stage.out)))
    notes = [line.split() for line in log.read_text(encoding="ascii").splitlines()]
    early = {int(number) for number, in_place in notes if in_place == "False"}
    late = {int(number) for number, in_place in notes if in_place == "True"}
    paths = [stage.out, *stage.out.rglob("*")]
    missing = sum(path.stat().st_ino not in early for path in paths)
    parent = stage.folder.stat().st_ino in late
    said = f"{ended}, {len(paths) - missing} of {len(paths)} files and folders, place's folder too"
    return Outcome(said if parent else f"{ended}, folder missing", not missing and parent)


@fault("kill", expected="0, same result, none left")
def killed_at_random(stage: Stage) -> Outcome:
    """SIGKILL at thirty random moments, each time rerun."""
    few = replace(stage, folder=stage.folder / "few" / "kills", items=stage.items[:_FEW])
    few.folder.mkdir(parents=True)
    expected = undisturbed(few).load()
    moments = random.Random(0)
    wanted, killed, wrong, partials, half = 3 if stage.quick else 30, 0, 0, 0, 0
    few.run()
    begin = time.monotonic()
    few.run("--overwrite")
    usual = time.monotonic() - begin
    # A run that was quicker than usual has ended before it could be killed.
    for number in range(2 * wanted):
        if killed == wanted:
            break
        # Every other run replaces an old store.
        if number % 2:
            shutil.rmtree(few.out)
        process = few.start("--overwrite")
        time.sleep(usual * moments.uniform(0.02, 1.0))
        killed += few.kill(process).code == -signal.SIGKILL
        partials += bool(few.left("r.zarr"))
        half += few.out.exists() and not same_result(open_result(few.out).load(), expected)
        again = few.run("--overwrite")
        same = same_result(open_result(few.out).load(), expected)
        wrong += again.code != 0 or not same or bool(few.left("r.zarr"))
    said = f"{killed} killed, {wrong} reruns wrong; {partials} partials swept, {half} half seen"
    return Outcome(said, killed == wanted and not wrong and not half)


@fault("kill", expected="143, nothing left")
def terminated(stage: Stage) -> Outcome:
    """SIGTERM while blocks are written."""
    ended: list[Ended] = []
    left: set[str] = set()
    for _ in range(1 if stage.quick else 3):
        process = stage.start()
        stage.writing(process)
        ended.append(stage.kill(process, signal.SIGTERM))
        left |= set(stage.left())
    holds = not left and all(end.code == 143 and end.plain for end in ended)
    return Outcome(f"{ended[-1]}, {len(left)} left", holds)


@fault("kill", expected="attributes of the outcome in it")
def killed_when_visible(stage: Stage) -> Outcome:
    """SIGKILL as soon as the store can be seen."""
    process = stage.start(items=(*stage.items[1:], stage.broken[0]))
    seen = stage.until(lambda: (stage.out / "zarr.json").is_file(), process)
    stage.kill(process)
    count = open_result(stage.out).attrs.get("unreadable_items")
    return Outcome(f"unreadable_items {count}", (seen or process.returncode == 3) and count == 1)


@fault("races", expected="one 0, one 7 or 2, none left")
def two_reruns(stage: Stage) -> Outcome:
    """Two reruns at once after a SIGKILL."""
    process = stage.start()
    stage.writing(process)
    stage.kill(process)
    both = [stage.start() for _ in range(2)]
    ended = [stage.end(one) for one in both]
    codes = sorted(end.code if end.code is not None else -1 for end in ended)
    whole = same_result(open_result(stage.out), undisturbed(stage))
    holds = codes[0] == 0 and codes[1] in (2, 7) and whole and not stage.left("r.zarr", "calm")
    return Outcome(" and ".join(map(str, ended)), holds)


@fault("races", expected="always a store")
def reader(stage: Stage) -> Outcome:
    """A reader while a store is replaced again and again."""
    stage.run()
    stop, missing, looks = threading.Event(), [0], [0]

    def look() -> None:
        while not stop.is_set():
            looks[0] += 1
            missing[0] += not (stage.out / "zarr.json").is_file()

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(1 if stage.quick else 3):
        stage.run("--overwrite")
    stop.set()
    thread.join()
    return Outcome(f"{missing[0]} of {looks[0]:,} looks found none", not missing[0])


@fault("disks", expected="4, nothing left, old kept")
def full(stage: Stage) -> Outcome:
    """Files cannot grow (as on a full disk)."""
    stage.run()
    before = open_result(stage.out).load()

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE, _LARGEST_FILE))

    ended = stage.run("--overwrite", preexec_fn=limit)
    kept = same_result(open_result(stage.out).load(), before) and not stage.left("r.zarr")
    return Outcome(f"{ended}, {_kept(kept)}", ended.code == 4 and kept and ended.plain)


@fault("disks", expected="4 or 2, one line")
def below_a_file(stage: Stage) -> Outcome:
    """``--overwrite`` a file."""
    (stage.folder / "file").touch()
    ended = stage.run(out=stage.folder / "file" / "r.zarr")
    return Outcome(str(ended), ended.code in (2, 4) and ended.plain)


def _kept(kept: bool) -> str:
    return "untouched" if kept else "CHANGED"
