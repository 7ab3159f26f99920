"""A result against what is known of its ground: truths, products, stations, and the scores."""

from __future__ import annotations

from aktes_xr.validation.comparison import Comparison, ValidationScore, compare, validate
from aktes_xr.validation.matching import pair_fields
from aktes_xr.validation.metrics import Scores, scores
from aktes_xr.validation.pairs import Pairs, Selection
from aktes_xr.validation.quantity import EMISSIVITY, TEMPERATURE, Quantity
from aktes_xr.validation.reference import Reference, open_reference, open_truth
from aktes_xr.validation.sites import SiteMatch, pair_stations
from aktes_xr.validation.stations import Station, read_stations

__all__ = [
    "EMISSIVITY",
    "TEMPERATURE",
    "Comparison",
    "Pairs",
    "Quantity",
    "Reference",
    "Scores",
    "Selection",
    "SiteMatch",
    "Station",
    "ValidationScore",
    "compare",
    "open_reference",
    "open_truth",
    "pair_fields",
    "pair_stations",
    "read_stations",
    "scores",
    "validate",
]
