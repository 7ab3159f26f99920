"""What a fault of the benchmark is.

A module of faults registers functions with `fault`; each plays one fault on components that it
starts itself and says what came of it. `aktes_xr.bench.faults` imports the modules and plays them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aktes_xr.bench.fault_stage import Stage


@dataclass(frozen=True)
class Outcome:
    """What came of a fault, in words, and whether it is what should."""

    said: str
    holds: bool


@dataclass(frozen=True)
class Fault:
    """A fault, and how it should end.

    Attributes
    ----------
    area, what, expected : words of the table
    play : plays it
    own : whether it was invented here, rather than met in the survey of faults
    """

    area: str
    what: str
    expected: str
    play: Callable[[Stage], Outcome]
    own: bool = False


FAULTS: list[Fault] = []
"""All that the imported modules have registered, in their order."""

Play = Callable[[Stage], Outcome]


def fault(area: str, *, expected: str, own: bool = False) -> Callable[[Play], Play]:
    """Register a function that plays a fault.

    The table shows the whole docstring of that function. So it must stay one short line.

    Parameters
    ----------
    area : str
        The part of the table that the fault belongs to.
    expected : str
        What should come of it.
    own : bool
        Whether it was invented here, rather than met in the survey of faults.

    Returns
    -------
    callable
        The decorator.
    """

    def register(play: Play) -> Play:
        what = (play.__doc__ or "").strip().removesuffix(".").replace("``", "")
        FAULTS.append(Fault(area, what, expected, play, own))
        return play

    return register
