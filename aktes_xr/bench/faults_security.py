"""Hostile files, links and hosts: nothing local is read, no login and no secret goes astray."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aktes_xr.bench.fault_results import dates_of
from aktes_xr.bench.fault_rows import Outcome, fault
from aktes_xr.bench.fault_stage import Ended, Stage
from aktes_xr.bench.faults_items import beside_good_ones, vrt
from aktes_xr.bench.faults_search import HASTY
from aktes_xr.bench.faults_server import serve
from aktes_xr.errors import TrainingError

FORMS: Final = (
    "http://{host}/{name}?sig=SECRET",
    "http://{host}/{name}?jwt=SECRET",
    "http://{host}/{name}?key=SECRET",
    "http://{host}/{name}?auth_token=SECRET",
    "http://{host}/{name}?Authorization=Bearer%20SECRET",
    "http://{host}/{name}?hdnea=exp=1~acl=/*~hmac=SECRET",
    "http://{host}/{name}?verify=1-SECRET",
    "http://{host}/{name}?X-Amz-Signature=SECRET&X-Amz-Credential=SECRET",
    "http://{host}/{name}?SECRET",
    "http://{host}/{name}#token=SECRET",
    "http://{host}/{name};sig=SECRET",
    "http://SECRET:SECRET@{host}/{name}",
    "http://{host}/hdnea=exp=1~hmac=SECRET/{name}",
    "http://{host}/eyJSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRET/{name}",
    "/vsicurl?use_head=no&url=http%3A%2F%2F{host}%2F{name}%3Fsig%3DSECRET",
)
"""Fifteen forms in which a link holds a secret."""
SECRET: Final = "SECRET"
_PICKLES: Final = """
import logging, sys
import cloudpickle
logging.basicConfig(level=logging.DEBUG)
logging.getLogger("numba").setLevel(logging.INFO)
from aktes_xr import open_stac, retrieve
cube = open_stac(sys.argv[2:])
result = retrieve(cube, bundle=sys.argv[1])
for ds in (cube, result):
    sys.stdout.write(cloudpickle.dumps(ds).decode("latin1"))
    sys.stdout.write(repr(dict(ds.__dask_graph__())) + repr(ds.attrs) + ds._repr_html_())
result["surface_temperature"].load()
"""
_LOGS_IN: Final = """
import sys
from aktes_xr import open_stac
from aktes_xr.stac import Login
login = Login(lambda: {"GDAL_HTTP_HEADERS": "Authorization: Bearer SECRET"}, hosts=("127.0.0.1",))
print(int(open_stac(sys.argv[1:], modifier=login)["tir"].any(("band", "y", "x")).sum()))
"""


@fault("security", expected="3, no file and no other host read")
def vrt_over_http(stage: Stage) -> Outcome:
    """A .tif that is a VRT of a local file, or of another host's."""
    secret = stage.item(0)["assets"]["TIR"]["href"]
    folder = stage.folder / "items" / "served"
    folder.mkdir(parents=True)
    with serve(folder) as host, serve(stage.granules, address="127.0.0.2") as inner:
        name = Path(secret).name
        (folder / "local.tif").write_text(vrt(secret), encoding="utf-8")
        (folder / "inner.tif").write_text(vrt(f"/vsicurl/{inner.url}/{name}"), encoding="utf-8")
        bad = [
            stage.item(5 + number, href=f"{host.url}/{kind}.tif")
            for number, kind in enumerate(("local", "inner"))
        ]
        ended, same = beside_good_ones(stage, bad, env=HASTY)
        asked = len(inner.times)
    empty = len(dates_of(stage)[1])
    holds = ended.code == 3 and ended.plain and same == 3 and empty == 2 and not asked
    return Outcome(f"{ended}, {empty} of 2 empty, {asked} requests of the other host", holds)


@fault("security", expected="3, each left out")
def local_links(stage: Stage) -> Outcome:
    """Remote items that name local files: a path, file://, /vsizip/, /vsigzip/."""
    local = stage.item(5)["assets"]["TIR"]["href"]
    links = (local, f"file://{local}", f"/vsizip/{local}.zip/x.tif", f"/vsigzip/{local}")
    with serve(stage.folder) as host:
        paths = stage.write(
            [stage.item(5 + n, id=f"bad-{n}", href=link) for n, link in enumerate(links)]
        )
        remote = [f"{host.url}/items/{Path(path).name}" for path in paths]
        ended = stage.run(items=[*stage.items[:3], *remote], env=HASTY)
    named = sum(f"left out bad-{number}: " in ended.said for number in range(len(links)))
    holds = ended.code == 3 and ended.plain and named == len(links)
    return Outcome(f"{ended}, {named} of {len(links)} left out", holds)


@fault("security", expected="to its host only, not with a redirect")
def login(stage: Stage) -> Outcome:
    """A login's token, items of two hosts, and a redirect to the other one."""
    names = [Path(stage.item(number)["assets"]["TIR"]["href"]).name for number in range(3)]
    with serve(stage.granules) as mine, serve(stage.granules, address="127.0.0.2") as other:
        mine.faults = {names[2]: [(302, {"Location": f"{other.url}/{names[2]}"})]}
        hosts = (mine, other, mine)
        paths = stage.write(
            [stage.item(n, href=f"{hosts[n].url}/{names[n]}") for n in range(len(names))]
        )
        ended = stage.python(_LOGS_IN, *paths)
        sent = [sum("SECRET" in str(one) for one in host.headers) for host in (mine, other)]
        asked = len(other.times)
    holds = ended.code == 0 and ended.told.strip() == "3" and sent[0] > 0 and not sent[1]
    said = f"{ended.told.strip()} of 3 read; sent to its host, {sent[1]} of {asked} times elsewhere"
    return Outcome(said, holds and asked > 0)


@fault("security", expected="0 traces in all that is left")
def secrets(stage: Stage) -> Outcome:
    """Fifteen forms of secrets in links: store, logs, plan, graph, report, errors."""
    found = traces(stage, leave_traces(stage), SECRET)
    where = ", ".join(sorted(found))
    return Outcome(f"{len(found)} traces{': ' if found else ''}{where}"[:160], not found)


def leave_traces(stage: Stage) -> dict[str, Ended]:
    """Do all that leaves something behind, with links that hold secrets.

    Parameters
    ----------
    stage : Stage
        Its folder holds the stores and the report afterwards.

    Returns
    -------
    dict of str to Ended
        What each step said. ``retrieve``, ``plan``, ``graph`` and ``report`` have worked.

    Raises
    ------
    TrainingError
        One of these has not: nothing would be left to be searched.
    """
    served = stage.folder / "items" / "served"
    served.mkdir(parents=True)
    with serve(served) as host:
        items = _planted(stage, served, host.url.removeprefix("http://"))
        said = {
            "retrieve": _debug(stage, items),
            "plan": stage.aktes("plan", *items, "--json", "--bundle", stage.bundle),
            "graph": stage.python(_PICKLES, stage.bundle, *items),
        }
        host.faults = {".tif": [404]}
        said["strict"] = stage.run("--strict", items=items, out=stage.folder / "s.zarr")
    page = str(stage.folder / "report.html")
    said["report"] = stage.aktes("report", str(stage.out), "--out", page)
    # One of the forms names a file that the server does not have: the run is done in part.
    for name, code in {"retrieve": 3, "plan": 0, "graph": 0, "report": 0}.items():
        if said[name].code != code:
            raise TrainingError(f"{name} ended with {said[name]}: {said[name].said[-300:]}")
    return said


def traces(stage: Stage, said: Mapping[str, Ended], text: str) -> set[str]:
    """Return where a text is found in what was left behind and said.

    Parameters
    ----------
    stage : Stage
        Its folder is searched, but for the items.
    said : mapping of str to Ended
        What `leave_traces` returned.
    text : str
        What is looked for.

    Returns
    -------
    set of str
        Names of files and of steps.
    """
    # Arrays of text hold each letter in four bytes: three of them are zero.
    found = {name for name, one in said.items() if text in (one.said + one.told).replace("\0", "")}
    for path in stage.folder.rglob("*"):
        if "items" in path.relative_to(stage.folder).parts:
            continue
        if text in path.name or (
            path.is_file() and text.encode() in path.read_bytes().replace(b"\0", b"")
        ):
            found.add(path.name)
    return found


def _debug(stage: Stage, items: list[str]) -> Ended:
    where = ("--out", str(stage.out), "--bundle", stage.bundle)
    return stage.aktes("--debug", "retrieve", *items, *where, "--json")


def _planted(stage: Stage, served: Path, host: str) -> list[str]:
    """Write an item for each form of a secret, and the files they name."""
    items = []
    for number, form in enumerate(FORMS):
        base = stage.item(number % len(stage.items))
        name = f"granule-{number:02d}.TIR.tif"
        link = form.format(host=host, name=name)
        place = link.partition(f"{host}/")[2].partition(name)[0] if "url=" not in link else ""
        (served / place).mkdir(parents=True, exist_ok=True)
        (served / place / name).symlink_to(base["assets"]["TIR"]["href"])
        day = f"2003-02-{number + 1:02d}T10:00:00Z"
        item = stage.item(number % len(stage.items), id=f"planted-{number:02d}", href=link)
        item["properties"]["datetime"] = day
        items.append(item)
    return stage.write(items)


@fault("security", expected="2 to 4, at once")
def pipes(stage: Stage) -> Outcome:
    """Pipes and devices as item, file, elevation model or bundle."""
    pipe, bundle = stage.folder / "pipe.json", stage.folder / "bundle"
    os.mkfifo(pipe)
    bundle.mkdir()
    os.mkfifo(bundle / "bundle.json")
    device = stage.write([stage.item(5, href="/dev/zero")])
    ended = [
        stage.run(items=[str(pipe)]),
        stage.run(items=device),
        stage.run("--dem", "/dev/zero"),
        stage.run("--bundle", str(bundle)),
    ]
    holds = all(one.code in (2, 3, 4) and one.plain for one in ended)
    return Outcome("; ".join(map(str, ended)), holds)


@fault("security", expected="nothing written outside", own=True)
def ids_that_are_paths(stage: Stage) -> Outcome:
    """Items whose ids are paths and markup."""
    names = ("../../../escaped", "/tmp/escaped", "a/b", "<script>alert(1)</script>")
    bad = [stage.item(5 + number, id=name) for number, name in enumerate(names)]
    ended = stage.run(items=stage.write(bad))
    page = stage.folder / "report.html"
    report = stage.aktes("report", str(stage.out), "--out", str(page))
    left = stage.left("r.zarr", "report.html")
    markup = "<script>alert" in page.read_text(encoding="utf-8")
    outside = any(Path(place, "escaped").exists() for place in ("/tmp", stage.folder.parent))
    holds = ended.code == 0 and report.code == 0 and not left and not outside and not markup
    return Outcome(f"{ended}, {len(left)} left, markup {'RAW' if markup else 'escaped'}", holds)


@fault("security", expected="2, no credential shown", own=True)
def credentials_in_the_address(stage: Stage) -> Outcome:
    """``--out`` with a user name, a password and a signature in it."""
    ended = [
        stage.run(out=f"s3://SECRET:SECRET@bucket/r.zarr{more}") for more in ("", "?sig=SECRET")
    ]
    shown = any("SECRET" in one.said + one.told for one in ended)
    holds = all(one.code == 2 and one.plain for one in ended) and not shown
    return Outcome(f"{ended[0]}; {ended[1]}, {'SHOWN' if shown else 'not shown'}", holds)
