"""What the command line says and how it ends: exit codes, errors, answers, parsed options.

Results a script reads go to stdout; progress, warnings and errors go to stderr.
"""

from __future__ import annotations

import json
import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Literal

import typer
from typer.core import TyperGroup

from aktes_xr.cli.wording import in_options
from aktes_xr.errors import AktesError, InputError, printable

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "EXIT_CODES",
    "CommandGroup",
    "answer",
    "complain",
    "describe",
    "parse_bbox",
    "parse_resolution",
    "parse_shape",
    "print_json",
    "stderr",
    "stdout",
]

OK, FAILED, BAD_INPUT, PARTIAL, OUTSIDE, UNEXPECTED, KEPT, BUSY = range(8)
INTERRUPTED, TERMINATED = 130, 143
EXIT_CODES = (
    "Exit codes: 0 done; 1 a check does not hold; 2 wrong usage or input; 3 done in part, the rest "
    "is listed on stderr; 4 a file, disk, network or cluster failed, trying again may help; 5 "
    "unexpected: a fault of this program; 6 kept what was there because the new result would be "
    "worse; 7 another run is writing there; 130 interrupted; 143 terminated."
)


_PIPE_WIDTH = 120


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM): it cleans up as after Ctrl-C."""

    exit_code = TERMINATED


class CommandGroup(TyperGroup):
    """Turns an error into one red line and its exit code; an unexpected one shows its traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command and turn what it raises into its exit code.

        Parameters
        ----------
        ctx : Context
            Typer's context of the command.

        Returns
        -------
        Any
            What the command returned.
        """
        with _termination_raises(), _Ending(ctx):
            return super().invoke(ctx)


class _Ending:
    """Where every error ends that a command has not met itself."""

    def __init__(self, ctx: Any) -> None:
        self._ctx = ctx

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None or isinstance(error, _TYPERS_OWN | BrokenPipeError | SystemExit):
            return
        if threading.current_thread() is threading.main_thread():
            # The command has ended. A signal must not take the place of what is to be told of it.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if isinstance(error, KeyboardInterrupt):
            ended = isinstance(error, Terminated)
            stderr().print(f"[yellow]{'terminated' if ended else 'interrupted'}[/yellow]")
            raise typer.Exit(TERMINATED if ended else INTERRUPTED) from None
        expected = isinstance(error, AktesError | OSError)
        if self._ctx.params.get("debug") or not expected:
            stderr().print(
                "".join(traceback.format_exception(kind, error, trace)).rstrip(),
                markup=False,
                highlight=False,
            )
        complain(error, self._command())
        raise typer.Exit(_exit_code(error)) from error

    def _command(self) -> Any:
        """Return the command that ran, or None."""
        name = self._ctx.invoked_subcommand
        return None if name is None else self._ctx.command.get_command(self._ctx, name)


# The last is the root of errors of usage (ClickException). Typer has no name for it.
_TYPERS_OWN = typer.Exit | typer.Abort | typer.BadParameter.__mro__[2]


@contextmanager
def _termination_raises() -> Iterator[None]:
    """Have SIGTERM raise in the main thread.

    It does so once, so that a second signal does not disturb the cleaning up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def parse_shape(text: str) -> tuple[int, int]:
    """Return (rows, columns) from text such as "700x830".

    Parameters
    ----------
    text : str
        What the user gave as ``--shape``.

    Returns
    -------
    (int, int), pixel

    Raises
    ------
    InputError
        It is no such text.
    """
    rows, _, columns = text.lower().partition("x")
    if not (rows.isdigit() and columns.isdigit()):
        raise InputError(f"--shape is {text!r}: expected rows x columns, such as 700x830.")
    return int(rows), int(columns)


def parse_bbox(text: str | None) -> tuple[float, float, float, float] | None:
    """Return (west, south, east, north) from text such as "7.0,45.5,8.5,46.5".

    Parameters
    ----------
    text : str, optional
        What the user gave as ``--bbox``.

    Returns
    -------
    (float, float, float, float), degree, or None

    Raises
    ------
    InputError
        It is not four numbers.
    """
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


def parse_resolution(text: str) -> float | Literal["native", "auto"]:
    """Return the pixel size from text such as "90", "native" or "auto".

    Parameters
    ----------
    text : str
        What the user gave as ``--resolution``.

    Returns
    -------
    float (m), "native" or "auto"

    Raises
    ------
    InputError
        It is none of these.
    """
    if text == "native":
        return "native"
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise InputError(
            f"--resolution is {text!r}: expected 'auto', 'native' or metres, such as 90"
        ) from None


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
    """Print a value as JSON on stdout.

    Parameters
    ----------
    found : Any
        A value of JSON's types; no number that is not finite.
    """
    typer.echo(json.dumps(found, indent=2, allow_nan=False))


def answer(found: dict[str, Any], as_json: bool) -> None:
    """Say what was written, for a person or for a script.

    Parameters
    ----------
    found : dict
        What was written, by what it is.
    as_json : bool
        Print it as JSON, for a script.
    """
    if as_json:
        print_json(found)
        return
    for key, value in found.items():
        typer.echo(f"{key}: {', '.join(value) if isinstance(value, list) else value}")


def describe(value: Any) -> list[str]:
    """Return a value of a JSON object as lines to read: one for each member of a list.

    Parameters
    ----------
    value : Any
        A value of JSON's types.

    Returns
    -------
    list of str
    """
    if isinstance(value, list):
        return [line for member in value for line in describe(member)] or ["none"]
    if isinstance(value, dict):
        known = {name: entry for name, entry in value.items() if entry is not None}
        return [", ".join(f"{name} {entry}" for name, entry in known.items())]
    return ["none" if value is None else str(value)]


def complain(error: BaseException, command: Any = None) -> None:
    """Print an error as one red line with its code.

    Parameters
    ----------
    error : BaseException
        What a command raised.
    command : click Command, optional
        Whose options the message names.
    """
    from rich.text import Text

    known = isinstance(error, AktesError | OSError)
    code = getattr(error, "code", "io") if known else "unexpected"
    if known:
        said = in_options(_innermost(error), command)
    else:
        said = f"{type(error).__name__}: {error}; please report this"
    stderr().print(Text(printable(f"error [{code}]: {said}"), style="red"))


def _innermost(error: BaseException) -> str:
    """Return what an error says; for GDAL's "see previous exception", what that one says."""
    below = error.__cause__ or error.__context__
    if "See previous exception" in str(error) and below is not None:
        return f"{type(error).__name__}: {below}"
    return str(error)


def _exit_code(error: BaseException) -> int:
    """Tell the caller's mistakes from trouble with files, which may pass, and from our own."""
    if isinstance(error, AktesError):
        return error.exit_code
    if not isinstance(error, OSError):
        return UNEXPECTED
    wrong_path = FileNotFoundError | FileExistsError | IsADirectoryError | NotADirectoryError
    return BAD_INPUT if isinstance(error, wrong_path) else OUTSIDE
