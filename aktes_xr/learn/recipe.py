"""Training settings as values: everything a bundle's training depends on, seeds included."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

from aktes_xr.errors import ConfigError


@dataclass(frozen=True)
class SearchSpace:
    """What the AutoKeras search may choose from.

    Attributes
    ----------
    width, depth : tuple of int
        Units per hidden layer and number of hidden layers.
    activation : tuple of str
        Of ``relu``, ``silu``, ``tanh``.
    normalisation, skip : tuple of bool
        Batch normalisation before the activation; a skip connection around each layer but the
        first.
    optimizer : tuple of str
        As AutoKeras names them: ``adam``, ``sgd``.
    learning_rate : tuple of float
    """

    width: tuple[int, ...] = (64, 128, 256, 512)
    depth: tuple[int, ...] = (2, 3, 4, 5, 6)
    activation: tuple[str, ...] = ("relu", "silu", "tanh")
    normalisation: tuple[bool, ...] = (False, True)
    skip: tuple[bool, ...] = (False, True)
    optimizer: tuple[str, ...] = ("adam",)
    learning_rate: tuple[float, ...] = (3e-3, 1e-3, 3e-4)


@dataclass(frozen=True)
class AncillaryErrors:
    """How wrong the ancillaries of the training samples are; ranges drawn per field.

    Wide, for every source of ancillaries states errors of its own.

    Attributes
    ----------
    water_vapor : tuple of float
        Relative standard deviation.
    air_temperature_k, skin_temperature_k, emissivity : tuple of float
        Standard deviations, K, K and 1.
    emissivity_of_surface, emissivity_of_bands : tuple of float
        Shares of the emissivity error's variance that are common to the pixels of one surface, and
        to the bands.
    wrong : float
        Share of fields in which an ancillary is worse than it says
        (`aktes_xr.simulate.observation.WRONG_FACTOR`): a network that never saw one believes them
        all.
    """

    water_vapor: tuple[float, float] = (0.03, 0.5)
    air_temperature_k: tuple[float, float] = (0.5, 8.0)
    skin_temperature_k: tuple[float, float] = (1.0, 8.0)
    emissivity: tuple[float, float] = (0.003, 0.05)
    emissivity_of_surface: tuple[float, float] = (0.3, 1.0)
    emissivity_of_bands: tuple[float, float] = (0.0, 0.3)
    wrong: float = 0.06

    def as_stated(self) -> AncillaryErrors:
        """Return the same errors without any that is worse than it says or shared by the bands."""
        return replace(self, wrong=0.0, emissivity_of_bands=(0.0, 0.0))

    def of_fields(self) -> dict[str, Any]:
        """Return them as settings of `aktes_xr.simulate.fields.FieldRecipe`."""
        return {
            "water_vapor_error": self.water_vapor,
            "air_temperature_error_k": self.air_temperature_k,
            "skin_temperature_error_k": self.skin_temperature_k,
            "emissivity_error": self.emissivity,
            "error_of_surface": self.emissivity_of_surface,
            "error_of_bands": self.emissivity_of_bands,
            "wrong_share": self.wrong,
        }


@dataclass(frozen=True)
class TeacherRecipe:
    """Search and training of the teacher.

    Attributes
    ----------
    samples, validation_samples : int
        Simulated pixels of one epoch (every epoch draws its own), and (other atmospheres, other
        surfaces) for validation.
    model_atmospheres : float
        Share of the pixels drawn by protocol P; the rest by protocol G.
    search_samples, trials, search_epochs : int
        The search trains each candidate on so many samples and epochs.
    tuner : str
        ``random``, ``greedy`` or ``hyperband``.
    max_cost : int
        Multiplications per pixel; a more expensive candidate is listed but not chosen.
    finalists, final_epochs : int
        So many of the best trials train so many epochs as the winner will.
    tolerance : float
        Of the finalists whose score is within this share of the best, the cheapest is chosen.
    epochs, batch_size : int
        Long training of the winner.
    learning_rate : float
        At its start; it falls to zero along a cosine.
    space : SearchSpace
    """

    samples: int = 400_000
    validation_samples: int = 40_000
    model_atmospheres: float = 0.25
    search_samples: int = 60_000
    trials: int = 4
    search_epochs: int = 4
    tuner: str = "random"
    max_cost: int = 300_000
    finalists: int = 1
    final_epochs: int = 6
    tolerance: float = 0.005
    epochs: int = 20
    batch_size: int = 1024
    learning_rate: float = 1e-3
    space: SearchSpace = field(default_factory=SearchSpace)


@dataclass(frozen=True)
class StudentRecipe:
    """Distillation of a student.

    Attributes
    ----------
    samples, validation_samples : int
        Simulated pixels of one epoch (every epoch draws its own), and for validation.
    level_share : float
        Of them on flat ground, where the student has to know when it is not needed.
    units : tuple of int
        Hidden layers; 0: as wide as 10 % of the teacher's multiplications allow.
    activation : str
        Of ``relu``, ``silu``, ``tanh``.
    alpha : float
        Weight of the teacher's predictions beside the truth's 1 - alpha.
    epochs, batch_size : int
    learning_rate : float
        At its start; it falls to zero along a cosine.
    """

    samples: int = 100_000
    validation_samples: int = 40_000
    level_share: float = 0.25
    units: tuple[int, ...] = (0, 0)
    activation: str = "silu"
    alpha: float = 0.1
    epochs: int = 20
    batch_size: int = 1024
    learning_rate: float = 3e-3


@dataclass(frozen=True)
class Recipe:
    """All of a bundle's training.

    Attributes
    ----------
    name : str
    seed : int
        Samples, drop-out, search and initial weights derive from it.
    nedt_k : tuple of float
        Range of noise-equivalent temperature differences to train for, K.
    errors : AncillaryErrors
    varied : float
        Share of protocol G's fields with air that no profile of the table has, and with surfaces
        that no library has (`aktes_xr.simulate.fields.FieldRecipe`).
    teacher : TeacherRecipe
    student : StudentRecipe
    """

    name: str
    seed: int = 20250309
    nedt_k: tuple[float, float] = (0.05, 0.3)
    errors: AncillaryErrors = field(default_factory=AncillaryErrors)
    varied: float = 0.5
    teacher: TeacherRecipe = field(default_factory=TeacherRecipe)
    student: StudentRecipe = field(default_factory=StudentRecipe)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, settings: Mapping[str, Any]) -> Recipe:
        """Read what `to_json` returned.

        Parameters
        ----------
        settings : mapping
            What it leaves out has the defaults of `Recipe`.

        Returns
        -------
        Recipe

        Raises
        ------
        ConfigError
            It has an unknown key or a value of the wrong kind.
        """
        found: Recipe = _merge(cls(""), settings, "the recipe")
        return found


RECIPES: Final[dict[str, Recipe]] = {
    "quick": Recipe(
        "quick",
        teacher=TeacherRecipe(
            space=SearchSpace(
                width=(128, 192, 256),
                depth=(2, 3),
                activation=("relu",),
                normalisation=(False,),
                skip=(False, True),
                learning_rate=(2e-3, 1e-3),
            )
        ),
    ),
    "release": Recipe(
        "release",
        teacher=TeacherRecipe(
            samples=1_000_000,
            validation_samples=60_000,
            search_samples=200_000,
            trials=8,
            search_epochs=3,
            epochs=80,
            batch_size=2048,
            learning_rate=2e-3,
            space=SearchSpace(
                width=(192, 256, 320),
                depth=(3, 4, 5),
                activation=("relu", "silu"),
                normalisation=(False,),
                learning_rate=(3e-3, 1e-3),
            ),
        ),
        student=StudentRecipe(
            samples=600_000,
            validation_samples=200_000,
            level_share=0.3,
            epochs=44,
            batch_size=2048,
        ),
    ),
}
"""``quick``: minutes, to try the chain. ``release``: the shipped bundle's, whose teacher is from
before varied fields had land of any class."""


def load_recipe(source: str | Path) -> Recipe:
    """Return a recipe by name, or from a TOML file.

    Parameters
    ----------
    source : str or Path
        ``"quick"``, ``"release"``, or a file whose keys are those of `Recipe`, with tables
        ``errors``, ``teacher``, ``teacher.space`` and ``student``; ``base`` names the recipe that
        gives what the file leaves out.

    Returns
    -------
    Recipe

    Raises
    ------
    ConfigError
        There is no such recipe, or the file has an unknown key or a value of the wrong kind.
    """
    if str(source) in RECIPES:
        return RECIPES[str(source)]
    path = Path(source)
    if not path.is_file():
        raise ConfigError(
            f"found recipe {path.name!r}, expected one of {', '.join(RECIPES)} or a TOML file"
        )
    try:
        settings = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path.name} is not TOML: {error}") from error
    base = settings.pop("base", "quick")
    if base not in RECIPES:
        raise ConfigError(f"found base = {base!r}, expected one of {', '.join(RECIPES)}")
    settings.setdefault("name", path.stem)
    merged = _merge(RECIPES[base], settings, path.name)
    if not isinstance(merged, Recipe):
        raise ConfigError(f"{path.name} does not describe a recipe")
    return merged


def _merge(default: Any, settings: Mapping[str, Any], where: str) -> Any:
    known = {entry.name for entry in fields(default)}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise ConfigError(
            f"{where} has unknown keys {', '.join(unknown)}; expected {', '.join(sorted(known))}"
        )
    changes = {}
    for key, value in settings.items():
        present = getattr(default, key)
        if isinstance(value, Mapping):
            if not hasattr(present, "__dataclass_fields__"):
                raise ConfigError(f"{where}: {key} is a table, expected a {_kind(present)}")
            changes[key] = _merge(present, value, f"{where}: {key}")
        elif isinstance(present, tuple) and isinstance(value, list) and value:
            changes[key] = tuple(_typed(present[0], entry, f"{where}: {key}") for entry in value)
        else:
            changes[key] = _typed(present, value, f"{where}: {key}")
    return replace(default, **changes)


def _typed(present: Any, value: Any, where: str) -> Any:
    if isinstance(present, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(present):
        raise ConfigError(f"{where} = {value!r}, expected a {_kind(present)}")
    return value


def _kind(value: Any) -> str:
    return "list" if isinstance(value, tuple) else type(value).__name__
