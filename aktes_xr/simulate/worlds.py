"""Fields of many worlds, one after the other."""

from __future__ import annotations

from collections.abc import Iterator

from aktes_xr.simulate.fields import Field, FieldRecipe
from aktes_xr.simulate.level_fields import level_field
from aktes_xr.simulate.steep_fields import Pool, steep_field


def draw_fields(recipe: FieldRecipe) -> Iterator[Field]:
    """Draw fields, one after the other.

    Parameters
    ----------
    recipe : FieldRecipe
        What to draw.

    Yields
    ------
    Field
        In the order of their numbers; neighbours in it have nothing in common.
    """
    if recipe.terrain:
        pool = Pool.of(recipe)
        for number in recipe.numbers:
            yield steep_field(recipe, number, pool)
    else:
        for number in recipe.numbers:
            yield level_field(recipe, number)
