"""What the command line says and how it ends: exit codes, errors, answers, parsed options.

Results a script reads go to stdout; progress, warnings and errors go to stderr.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from aktes_xr.errors import AktesError, InputError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "EXIT_CODES",
    "CommandGroup",
    "answer",
    "complain",
    "describe",
    "parse_bbox",
    "parse_shape",
    "print_json",
    "stderr",
    "stdout",
]

OK, FAILED, BAD_INPUT, PARTIAL, OUTSIDE, INTERRUPTED = 0, 1, 2, 3, 4, 130
EXIT_CODES = (
    "Exit codes: 0 done; 1 a check does not hold; 2 wrong usage or input; 3 done in part, the rest "
    "is listed on stderr; 4 a file, disk or network failed, trying again may help; 130 interrupted."
)


_PIPE_WIDTH = 120


class CommandGroup(TyperGroup):
    """Turns an expected error into one red line and its exit code; others keep their traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command and turn what it raises into its exit code."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            stderr().print("[yellow]interrupted[/yellow]")
            raise typer.Exit(INTERRUPTED) from None
        except (AktesError, OSError) as error:
            if ctx.params.get("debug") or isinstance(error, BrokenPipeError):
                raise
            complain(error)
            raise typer.Exit(_exit_code(error)) from error


def parse_shape(text: str) -> tuple[int, int]:
    """(rows, columns) from "700x830"."""
    rows, _, columns = text.lower().partition("x")
    if not (rows.isdigit() and columns.isdigit()):
        raise InputError(f"--shape is {text!r}: expected rows x columns, such as 700x830.")
    return int(rows), int(columns)


def parse_bbox(text: str | None) -> tuple[float, float, float, float] | None:
    """(west, south, east, north) from "7.0,45.5,8.5,46.5"."""
    if text is None:
        return None
    try:
        west, south, east, north = map(float, text.split(","))
    except ValueError:
        raise InputError(
            f"--bbox is {text!r}: expected west,south,east,north in degrees, such as "
            "7.0,45.5,8.5,46.5"
        ) from None
    return west, south, east, north


def stdout() -> Console:
    """Return the console for results; in a pipe it is wide enough for every table."""
    from rich.console import Console

    console = Console(soft_wrap=True)
    return console if console.is_terminal else Console(soft_wrap=True, width=_PIPE_WIDTH)


def stderr() -> Console:
    """Return the console for progress and trouble."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True)


def print_json(found: Any) -> None:
    """Print a value as JSON on stdout."""
    typer.echo(json.dumps(found, indent=2, allow_nan=False))


def answer(found: dict[str, Any], as_json: bool) -> None:
    """Say what was written, for a person or for a script."""
    if as_json:
        print_json(found)
        return
    for key, value in found.items():
        typer.echo(f"{key}: {', '.join(value) if isinstance(value, list) else value}")


def describe(value: Any) -> list[str]:
    """Return a value of a JSON object as lines to read: one for each member of a list."""
    if isinstance(value, list):
        return [line for member in value for line in describe(member)] or ["none"]
    if isinstance(value, dict):
        known = {name: entry for name, entry in value.items() if entry is not None}
        return [", ".join(f"{name} {entry}" for name, entry in known.items())]
    return ["none" if value is None else str(value)]


def complain(error: Exception) -> None:
    """Print an error as one red line with its code."""
    from rich.text import Text

    code = getattr(error, "code", "io")
    stderr().print(Text(f"error [{code}]: {error}", style="red"))


def _exit_code(error: Exception) -> int:
    """Tell a wrong path, the caller's to mend, from other trouble with files, which may pass."""
    outside = isinstance(error, OSError) and not isinstance(
        error, FileNotFoundError | FileExistsError | IsADirectoryError | NotADirectoryError
    )
    return OUTSIDE if outside else BAD_INPUT
