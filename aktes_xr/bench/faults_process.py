"""Faults around a process: stopped, short of files, without an output, or told odd places."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aktes_xr.bench.fault_results import same_result, undisturbed
from aktes_xr.bench.fault_rows import Outcome, fault
from aktes_xr.bench.fault_stage import Running, Stage
from aktes_xr.bench.scale_cubes import write_granules
from aktes_xr.store import open_result

_FEW_FILES: Final = 48
_SLOPE_MB: Final = 1.0


@fault("replace", expected="6, the old one kept; --accept-worse: 0", own=True)
def fewer_dates(stage: Stage) -> Outcome:
    """``--overwrite`` with a result that lacks most dates of the old one."""
    stage.run()
    refused = stage.run("--overwrite", items=stage.items[:3])
    kept = same_result(open_result(stage.out).load(), undisturbed(stage))
    meant = stage.run("--overwrite", "--accept-worse", items=stage.items[:3])
    holds = refused.code == 6 and refused.plain and kept and meant.code == 0
    return Outcome(f"{refused}, {'kept' if kept else 'LOST'}; then {meant}", holds)


@fault("replace", expected="2, said, nothing left", own=True)
def old_store_removed(stage: Stage) -> Outcome:
    """The old store is removed while a run works."""
    stage.run()
    process = stage.start("--overwrite")
    seen = stage.writing(process, blocks=False)
    shutil.rmtree(stage.out)
    ended = stage.end(process)
    holds = seen and ended.code == 2 and ended.plain and not stage.left()
    return Outcome(f"{ended}, {len(stage.left())} left", holds)


@fault("replace", expected="6: it may be better; --accept-worse: 3", own=True)
def damaged_old_store(stage: Stage) -> Outcome:
    """A damaged old store and a poor result."""
    stage.run()
    (stage.out / "surface_temperature" / "zarr.json").write_text('{"zarr_fo', encoding="utf-8")
    (stage.out / "zarr.json").write_text('{"zarr_format": 3, "node_t', encoding="utf-8")
    items = [*stage.items[:2], *stage.broken[2:]]
    refused = stage.run("--overwrite", items=items)
    meant = stage.run("--overwrite", "--accept-worse", items=items)
    holds = refused.code == 6 and refused.plain and meant.code == 3
    return Outcome(f"{refused}; then {meant}", holds)


@fault("races", expected="the second 7, the first 0", own=True)
def stopped_run(stage: Stage) -> Outcome:
    """A run that is stopped (SIGSTOP) holds its place; it goes on later."""
    first = stage.start()
    seen = stage.writing(first, blocks=False)
    first.send_signal(signal.SIGSTOP)
    second = stage.run()
    first.send_signal(signal.SIGCONT)
    ended = stage.end(first)
    whole = same_result(open_result(stage.out), undisturbed(stage))
    return Outcome(
        f"{second}, then {ended}", seen and second.code == 7 and ended.code == 0 and whole
    )


@fault("kill", expected="143, nothing left", own=True)
def terminated_twice(stage: Stage) -> Outcome:
    """SIGTERM, and again while it cleans up."""
    process = stage.start()
    stage.writing(process)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.05)
    ended = stage.kill(process, signal.SIGTERM)
    return Outcome(
        f"{ended}, {len(stage.left())} left",
        ended.code == 143 and ended.plain and not stage.left(),
    )


@fault("kill", expected="swept up by the next run, 0", own=True)
def terminal_closed(stage: Stage) -> Outcome:
    """SIGHUP: the terminal is closed."""
    process = stage.start()
    stage.writing(process)
    ended = stage.kill(process, signal.SIGHUP)
    again = stage.run()
    whole = same_result(open_result(stage.out), undisturbed(stage))
    holds = again.code == 0 and whole and not stage.left("r.zarr")
    return Outcome(f"{ended}; then {again}, {len(stage.left('r.zarr'))} left", holds)


@fault("disks", expected="4, nothing left, old kept", own=True)
def few_open_files(stage: Stage) -> Outcome:
    """Hardly any files may be open at once."""
    stage.run()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (_FEW_FILES, _FEW_FILES))

    ended = stage.run("--overwrite", preexec_fn=limit)
    kept = same_result(open_result(stage.out).load(), undisturbed(stage))
    holds = ended.code in (0, 4) and ended.plain and kept and not stage.left("r.zarr")
    return Outcome(f"{ended}, {'kept' if kept else 'LOST'}", holds)


@fault("disks", expected="2 or 4, one line, no control characters", own=True)
def odd_places(stage: Stage) -> Outcome:
    """``--out`` of 300 letters, with escape sequences, or no text at all."""
    names = ("x" * 300, "a\x1b[2J\nb.zarr", "a\udcff.zarr")
    ended = [stage.run(out=stage.folder / name, items=stage.items[:1]) for name in names]
    raw = any("\x1b" in one.said for one in ended)
    holds = all(one.code in (0, 2, 4) and one.plain for one in ended) and not raw
    return Outcome("; ".join(map(str, ended)) + (", RAW" if raw else ""), holds)


@fault("disks", expected="2 or 4, one line", own=True)
def folder_removed(stage: Stage) -> Outcome:
    """The folder that a run was started in is gone."""
    gone = stage.folder / "gone"
    gone.mkdir()
    # A process keeps its folder, but the folder has no name any more.
    ended = stage.run(items=stage.items[:1], out="r.zarr", cwd=str(gone), preexec_fn=_removes(gone))
    return Outcome(str(ended), ended.code in (2, 4) and ended.plain)


def _removes(folder: Path) -> Callable[[], None]:
    return lambda: os.rmdir(folder)


@fault("output", expected="0, the whole result", own=True)
def nobody_listens(stage: Stage) -> Outcome:
    """Standard output is closed, or nobody reads it any more."""
    closed = stage.run("--json", preexec_fn=_closes_output)
    reader, writer = os.pipe()
    os.close(reader)
    broken = stage.run("--json", "--overwrite", stdout=writer)
    os.close(writer)
    whole = same_result(open_result(stage.out).load(), undisturbed(stage))
    # There is nobody to tell, so any code of the second is right as long as it is no fault.
    holds = closed.code in (0, 4) and broken.code != 5 and closed.plain and broken.plain and whole
    return Outcome(f"closed: {closed}; broken: {broken}", holds)


def _closes_output() -> None:
    os.close(1)


@fault("soak", expected="below 1 MB a date more, few files open")
def many_dates(stage: Stage) -> Outcome:
    """Two hundred dates of 128 x 128 pixels, beside fifty."""
    counts = (10, 40) if stage.quick else (50, 200)
    folder = stage.folder / "items" / "many"
    folder.mkdir(parents=True)
    paths = stage.write(write_granules(folder, counts[1], (128, 128)))
    peaks, files, codes = [], [], []
    for count in counts:
        process = stage.start("--overwrite", "--accept-worse", items=paths[:count])
        peak, opened = _watched(process)
        codes.append(stage.end(process).code)
        peaks.append(peak)
        files.append(opened)
    slope = (peaks[1] - peaks[0]) / (counts[1] - counts[0])
    said = f"peaks {peaks[0]:.0f} and {peaks[1]:.0f} MB: {slope:.2f} MB a date, {files[1]} files"
    return Outcome(said, codes == [0, 0] and slope < _SLOPE_MB and files[1] < 2 * files[0] + 10)


def _watched(process: Running) -> tuple[float, int]:
    """Return a process's largest memory (MB) and most open files, as seen until it ends."""
    peak, files = 0.0, 0
    place = Path(f"/proc/{process.pid}")
    while process.poll() is None:
        try:
            text = (place / "status").read_text(encoding="ascii")
            if "VmHWM:" in text:
                peak = float(text.partition("VmHWM:")[2].split()[0]) / 1024
            files = max(files, len(os.listdir(place / "fd")))
        except OSError:
            break
        time.sleep(0.1)
    return peak, files
