"""A STAC API that answers nonsense, hangs, or never comes to an end."""

from __future__ import annotations

import time
from typing import Any, Final

from aktes_xr.bench.fault_results import dates_of
from aktes_xr.bench.fault_rows import Outcome, fault
from aktes_xr.bench.fault_stage import Ended, Stage
from aktes_xr.bench.faults_server import FaultServer, page, serve
from aktes_xr.store import open_result

HASTY: Final = {
    "AKTES_NETWORK_CONNECT_S": "3",
    "AKTES_NETWORK_SILENCE_S": "3",
    "AKTES_NETWORK_DEADLINE_S": "9",
    "AKTES_NETWORK_BACKOFF_S": "0.05",
}
"""Seconds where users wait a minute, so that the benchmark need not."""
LONG_S: Final = 30.0
"""Longer than these."""
BOX: Final = "12.7,39.62,12.8,39.7"
"""Within the granules; degrees."""
_ENOUGH_S: Final = 60.0


def _search(stage: Stage, host: FaultServer, *options: str, **env: str) -> Ended:
    where = ("--source", f"{host.url}/", "--bbox", BOX)
    return stage.run(*where, *options, items=(), env={**HASTY, **env})


def _remote(stage: Stage, host: FaultServer, number: int) -> dict[str, Any]:
    name = stage.item(number)["assets"]["TIR"]["href"].rsplit("/", 1)[1]
    return stage.item(number, href=f"{host.url}/{name}", bbox=[12.6, 39.5, 12.9, 39.8])


@fault("API", expected="4, one line, each")
def no_stac(stage: Stage) -> Outcome:
    """Answers that are HTML, cut JSON, a list, or no text."""
    answers = (b"<html>out of order</html>", b'{"type": "FeatureColl', b"[1, 2]", b"\xff\xfe")
    ended = []
    with serve(stage.granules) as host:
        for answer in answers:
            host.serve_api([answer])
            ended.append(_search(stage, host))
    holds = all(one.code == 4 and one.plain for one in ended) and not stage.left()
    return Outcome("; ".join(map(str, ended)), holds)


@fault("API", expected="3, the good one retrieved, the bad one named")
def bad_feature(stage: Stage) -> Outcome:
    """A bad feature among good ones."""
    with serve(stage.granules) as host:
        bad = {"type": "Feature", "id": "bad\x1b[2J"}
        host.serve_api([page(_remote(stage, host, 0), bad, 7)])
        ended = _search(stage, host)
    named = "left out bad\\x1b[2J" in ended.said and "\x1b" not in ended.said
    dates = open_result(stage.out).sizes["time"]
    holds = ended.code == 3 and ended.plain and named and dates == 1
    return Outcome(f"{ended}, {dates} date, {'named' if named else 'NOT named'}", holds)


@fault("API", expected="4 within the deadline")
def hangs(stage: Stage) -> Outcome:
    """A search, or an item's file, that is never answered."""
    with serve(stage.granules) as host:
        host.serve_api([page(_remote(stage, host, 0))])
        host.silent_s = LONG_S
        host.faults = {"/search": ["silent"], "item_0000.json": ["silent"]}
        begin = time.monotonic()
        search = _search(stage, host)
        item = stage.run(items=[f"{host.url}/item_0000.json"], env=HASTY)
        seconds = time.monotonic() - begin
    holds = search.code == item.code == 4 and search.plain and item.plain and seconds < _ENOUGH_S
    return Outcome(f"search {search}; item {item}", holds)


@fault("API", expected="4 at the limit of pages")
def endless_pages(stage: Stage) -> Outcome:
    """Pages that lead to one another for ever."""
    with serve(stage.granules) as host:
        host.serve_api([page(_remote(stage, host, 0), following=f"{host.url}/search")])
        ended = _search(stage, host, AKTES_NETWORK_PAGES="5")
        asked = sum(path.startswith("/search") for path, _ in host.times)
    holds = ended.code == 4 and ended.plain and asked <= 6
    return Outcome(f"{ended}, {asked} pages asked for", holds)


@fault("API", expected="4, refused by its size", own=True)
def inflates(stage: Stage) -> Outcome:
    """An answer of a megabyte that unpacks to a gigabyte."""
    with serve(stage.granules) as host:
        host.serve_api([b""])
        host.faults = {"/search": ["bomb"]}
        # Less memory than the gigabyte beside what the libraries reserve.
        ended = _search(stage, host)
    holds = ended.code == 4 and ended.plain and "more than" in ended.said
    return Outcome(f"{ended}, {'refused' if 'more than' in ended.said else 'taken'}", holds)


@fault("API", expected="4, no local file read", own=True)
def leads_to_local_files(stage: Stage) -> Outcome:
    """A next page, and an item's file, on the user's own disk."""
    with serve(stage.granules) as host:
        host.serve_api([page(_remote(stage, host, 0), following="file:///etc/passwd")])
        following = _search(stage, host)
        host.serve_api([page(stage.item(0))])
        item = _search(stage, host)
    read = "root:" in following.said + item.said or bool(dates_of(stage)[0])
    holds = following.code == item.code == 4 and following.plain and item.plain and not read
    return Outcome(f"page {following}; item {item}", holds)
