"""What is compared: its unit, and how it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Quantity:
    """A quantity of a result.

    Attributes
    ----------
    name : str
        Of the variable.
    words : str
        For people.
    unit : str
        ``"K"``, or empty for a number without one.
    digits : int
        After the point.
    """

    name: str
    words: str
    unit: str
    digits: int

    @property
    def suffix(self) -> str:
        """What names of scores end with: ``_k`` of kelvin."""
        return f"_{self.unit.lower()}" if self.unit else ""

    def labelled(self, words: str) -> str:
        """Add the unit to a heading.

        Parameters
        ----------
        words : str

        Returns
        -------
        str
        """
        return f"{words} ({self.unit})" if self.unit else words

    def written(self, value: float, *, sign: bool = False) -> str:
        """Write a value with its unit.

        Parameters
        ----------
        value : float
        sign : bool
            Write a plus, too.

        Returns
        -------
        str
        """
        text = f"{value:{'+' if sign else ''}.{self.digits}f}"
        return f"{text} {self.unit}" if self.unit else text


TEMPERATURE: Final = Quantity("surface_temperature", "temperature", "K", 2)
EMISSIVITY: Final = Quantity("emissivity", "emissivity", "", 4)
