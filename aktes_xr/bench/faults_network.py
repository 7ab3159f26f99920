"""Faults of a network and of servers of files: silence, resets, refusals, damage, slowness."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Final

from aktes_xr.bench.fault_results import dates_of, same_result, undisturbed
from aktes_xr.bench.fault_rows import Outcome, fault
from aktes_xr.bench.fault_stage import Ended, Stage
from aktes_xr.bench.faults_search import HASTY, LONG_S
from aktes_xr.bench.faults_server import FaultServer, serve
from aktes_xr.store import open_result

_SOME: Final = 4


def _name(stage: Stage, number: int) -> str:
    return str(stage.item(number)["assets"]["TIR"]["href"].rsplit("/", 1)[1])


def _remote(stage: Stage, url: str, count: int = _SOME) -> list[str]:
    """Write items whose files lie on a host."""
    return stage.write(
        [stage.item(number, href=f"{url}/{_name(stage, number)}") for number in range(count)]
    )


def _with_faults(
    stage: Stage, faults: dict[str, list[Any]], *options: str, count: int = _SOME
) -> tuple[Ended, FaultServer]:
    with serve(stage.granules) as host:
        host.faults, host.silent_s = faults, LONG_S
        return stage.run(*options, items=_remote(stage, host.url, count), env=HASTY), host


def _isolated(stage: Stage, faults: Sequence[Any]) -> tuple[Ended, set[str], set[str]]:
    """Give each of so many dates one fault; return which came through and which did not."""
    ended, _ = _with_faults(
        stage,
        {_name(stage, number): list(one) for number, one in enumerate(faults)},
        count=len(faults),
    )
    return ended, *dates_of(stage)


def _ids(stage: Stage, numbers: Sequence[int]) -> set[str]:
    return {stage.item(number)["id"] for number in numbers}


@fault("network", expected="4, a request or two for each thread")
def silent(stage: Stage) -> Outcome:
    """A server that accepts and never answers."""
    ended, host = _with_faults(stage, {".tif": ["silent"]}, count=8)
    holds = ended.code == 4 and ended.plain and not stage.left() and len(host.times) <= 16
    return Outcome(f"{ended}, {len(host.times)} requests for 8 files", holds)


@fault("network", expected="0, the same; refused: 4, no store")
def reset_once(stage: Stage) -> Outcome:
    """One reset while pixels are read; then, connections refused."""
    ended, _ = _with_faults(stage, {_name(stage, 1): ["ok", "reset", "ok"]})
    same = dates_of(stage)[0] == _ids(stage, range(_SOME))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        refused = stage.run("--overwrite", items=_remote(stage, url), env=HASTY)
    kept = dates_of(stage)[0] == _ids(stage, range(_SOME))
    holds = ended.code == 0 and same and refused.code == 4 and refused.plain and kept
    return Outcome(f"{ended}, {'the same' if same else 'OTHER'}; refused: {refused}", holds)


@fault("network", expected="not asked again; 3, the others the same")
def retry_after(stage: Stage) -> Outcome:
    """``Retry-After: 3600`` for one file."""
    name = _name(stage, _SOME - 1)
    with serve(stage.granules, address="127.0.0.2") as other:
        other.faults = {name: [(503, {"Retry-After": "3600"})]}
        items = _remote(stage, other.url)
        good = stage.items[: _SOME - 1]
        ended = stage.run(items=[*good, items[-1]], env=HASTY)
        asked = other.asked[name]
    same = dates_of(stage)[0] == _ids(stage, range(_SOME - 1))
    holds = ended.code == 3 and ended.plain and same and asked == 1
    return Outcome(f"{ended}, asked {asked} times", holds)


@fault("network", expected="0; 3 without that date; 4, the old one kept")
def refusals(stage: Stage) -> Outcome:
    """A single 403; one file always 403; all files 401."""
    passing, _ = _with_faults(stage, {_name(stage, 1): [403, "ok"]})
    whole = dates_of(stage)[0] == _ids(stage, range(_SOME))
    one, _ = _with_faults(stage, {_name(stage, 1): [403]}, "--overwrite")
    rest = dates_of(stage)[0] == _ids(stage, (0, 2, 3))
    every, _ = _with_faults(stage, {".tif": [401]}, "--overwrite")
    kept = dates_of(stage)[0] == _ids(stage, (0, 2, 3))
    codes = (passing.code, one.code, every.code)
    holds = codes == (0, 3, 4) and whole and rest and kept and every.plain and one.plain
    return Outcome(f"{passing}; {one}; {every}, {'kept' if kept else 'LOST'}", holds)


@fault("network", expected="3: seven dates repeated, five isolated")
def each_its_own(stage: Stage) -> Outcome:
    """429, 500, 503, resets, a cut answer, 404, HTML, damage, redirects, no ranges."""
    through = ([429, "ok"], [500, "ok"], [503, "ok"], ["reset", "reset", "ok"], ["ok", "cut", "ok"])
    loop = (302, {"Location": f"/{_name(stage, 10)}"})
    local = (302, {"Location": "file:///etc/passwd"})
    ended, same, empty = _isolated(
        stage,
        [*through, ["no ranges"], ["ok", "flipped", "ok"], [404], ["page"], ["cut"], [loop],
         [local]],
    )  # fmt: skip
    holds = ended.code == 3 and ended.plain
    holds = holds and same == _ids(stage, range(7)) and empty == _ids(stage, range(7, 12))
    return Outcome(f"{ended}, {len(same)} the same, {len(empty)} empty", holds)


@fault("network", expected="3: 10 kB/s waited for, 2 B/s given up")
def slow(stage: Stage) -> Outcome:
    """Answers at 10 kB/s and at 2 B/s."""
    ended, same, empty = _isolated(stage, [["ok"], ["ok", "drip"], ["ok", "trickle"]])
    holds = ended.code == 3 and ended.plain and same == _ids(stage, (0, 1))
    return Outcome(f"{ended}, {len(same)} the same, {len(empty)} empty", holds)


@fault("network", expected="3, given up within the deadline", own=True)
def endless_headers(stage: Stage) -> Outcome:
    """Headers that come a byte at a time, for ever."""
    ended, same, empty = _isolated(stage, [["ok"], ["ok"], ["headers"]])
    holds = ended.code == 3 and ended.plain and same == _ids(stage, (0, 1)) and len(empty) == 1
    return Outcome(f"{ended}, {len(same)} the same, {len(empty)} empty", holds)


@fault("network", expected="3, that date empty", own=True)
def other_bytes(stage: Stage) -> Outcome:
    """Other bytes than were asked for (206 of another range)."""
    ended, same, empty = _isolated(stage, [["ok"], ["ok"], ["other"]])
    holds = ended.code == 3 and ended.plain and same == _ids(stage, (0, 1)) and len(empty) == 1
    return Outcome(f"{ended}, {len(same)} the same, {len(empty)} empty", holds)


@fault("network", expected="4, not asked for each file", own=True)
def unknown_name(stage: Stage) -> Outcome:
    """A host whose name does not exist."""
    ended = stage.run(items=_remote(stage, "http://granules.invalid", 8), env=HASTY)
    holds = ended.code == 4 and ended.plain and not stage.left()
    return Outcome(str(ended), holds)


@fault("network", expected="0, the same", own=True)
def odd_retry_after(stage: Stage) -> Outcome:
    """``Retry-After`` that is a past date, a negative number, or text."""
    waits = ("Wed, 21 Oct 2015 07:28:00 GMT", "-5", "soon")
    ended, same, _ = _isolated(stage, [[(503, {"Retry-After": wait}), "ok"] for wait in waits])
    holds = ended.code == 0 and ended.plain and same == _ids(stage, range(len(waits)))
    return Outcome(f"{ended}, {len(same)} of {len(waits)} the same", holds)


@fault("network", expected="6, the old one kept", own=True)
def archive_out_of_order(stage: Stage) -> Outcome:
    """``--overwrite`` while the archive gives 404 for most files."""
    stage.run()
    missing = {_name(stage, number): [404] for number in range(1, 12)}
    ended, _ = _with_faults(stage, missing, "--overwrite", count=12)
    kept = same_result(open_result(stage.out).load(), undisturbed(stage))
    return Outcome(f"{ended}, {'kept' if kept else 'LOST'}", ended.code == 6 and kept)
