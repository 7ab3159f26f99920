"""Commands of the scheduled series: run a job, check it, print its schema, tidy up."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aktes_xr.cli.console import OK, answer, print_json, stderr
from aktes_xr.cli.logs import show_work

if TYPE_CHECKING:
    from aktes_xr.jobs.upkeep import Step

job = typer.Typer(no_args_is_help=True, help="Check the file of a scheduled job.")
series = typer.Typer(
    no_args_is_help=True,
    help="Tidy up a job's series; each command says what would leave, and --apply does it.",
)

JobFile = Annotated[Path, typer.Argument(help="TOML file of the job.")]
Apply = Annotated[bool, typer.Option("--apply", help="Do it.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON on stdout.")]


class LogForm(StrEnum):
    """How log lines look."""

    text = "text"
    json = "json"


class RedoFor(StrEnum):
    """What dates may be made anew for, as `aktes_xr.jobs.stamps.REDO` names it."""

    bundle = "bundle"
    settings = "settings"
    ancillaries = "ancillaries"
    prior = "prior"


def run_command(
    file: JobFile,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")
    ] = False,
    redo: Annotated[
        list[RedoFor] | None,
        typer.Option(help="Make dates anew that were made with another one; several times, too."),
    ] = None,
    dates: Annotated[
        int | None, typer.Option(min=1, help="So many dates at most; before the file's budget.")
    ] = None,
    log: Annotated[
        LogForm, typer.Option(envvar="AKTES_LOG", help="Form of log lines.")
    ] = LogForm.text,
    as_json: JsonFlag = False,
) -> None:
    """Make every date of a job's region once: what is new and what has changed.

    May be killed at any moment and run again.
    """
    from aktes_xr.jobs.agenda import tally
    from aktes_xr.jobs.config import load_job
    from aktes_xr.jobs.run import plan_job, run_job

    show_work("aktes_xr.jobs", as_json=log is LogForm.json)
    chosen = load_job(file)
    if dates is not None:
        budget = chosen.budget.model_copy(update={"dates": dates})
        chosen = chosen.model_copy(update={"budget": budget})
    wanted = [one.value for one in redo or ()]
    if dry_run:
        tasks = plan_job(chosen, redo=wanted)
        listed = [task.as_dict() for task in tasks]
        if as_json:
            print_json({"store": chosen.store.address, "dates": listed})
            return
        for task in tasks:
            if task.is_work or task.kind == "gone":
                typer.echo(f"{task.key} {task.kind}: {task.reason}")
        answer({what: str(number) for what, number in tally(tasks).items()}, False)
        return
    account = run_job(chosen, redo=wanted)
    answer(account.as_dict() if as_json else dict(account.lines()), as_json)
    for line in account.troubles():
        stderr().print(line, style="yellow", markup=False, highlight=False)
    if account.exit_code != OK:
        raise typer.Exit(account.exit_code)


@job.command()
def check(file: JobFile, as_json: JsonFlag = False) -> None:
    """Check all of a job that can be checked without running it."""
    from aktes_xr.jobs.config import load_job
    from aktes_xr.jobs.inspection import check_job

    found = check_job(load_job(file))
    answer(dict(found), as_json)


@job.command()
def schema() -> None:
    """Print the JSON schema of a job's file."""
    from aktes_xr.jobs.config import job_schema

    print_json(job_schema())


@series.command()
def retain(file: JobFile, apply: Apply = False, as_json: JsonFlag = False) -> None:
    """Have dates leave that were taken longer ago than the job's retention; see compact and gc."""
    _tidy(file, "retain", apply=apply, as_json=as_json)


@series.command()
def compact(file: JobFile, apply: Apply = False, as_json: JsonFlag = False) -> None:
    """Remove earlier versions and dates that have left, once no reader can be at them any more."""
    _tidy(file, "compact", apply=apply, as_json=as_json)


@series.command()
def gc(file: JobFile, apply: Apply = False, as_json: JsonFlag = False) -> None:
    """Remove what nothing refers to: what runs that died, or expired snapshots, have left."""
    _tidy(file, "gc", apply=apply, as_json=as_json)


def _tidy(file: Path, step: Step, *, apply: bool, as_json: bool) -> None:
    from aktes_xr.jobs.config import load_job
    from aktes_xr.jobs.upkeep import tidy

    chosen = load_job(file)
    found = tidy(chosen, step, apply=apply)
    size = sum(one.size for one in found)
    if as_json:
        leaving = [asdict(one) for one in found]
        print_json({"store": chosen.store.address, "applied": apply, "leaving": leaving})
        return
    for one in found:
        typer.echo(f"{one.name}: {one.reason}")
    number = f"{len(found)}, {size / 1e6:.1f} MB"
    answer({"left" if apply else "would leave (--apply does it)": number}, False)
