"""Physics retrievals that every claim is measured against: TES and the generalised split window."""

from __future__ import annotations

from aktes_xr.baselines.split_window import (
    SplitWindowResult,
    split_window,
    split_window_block,
    split_window_table,
)
from aktes_xr.baselines.tes import (
    ECOSTRESS,
    GILLESPIE,
    GILLESPIE_1998,
    MMD_ECOSTRESS,
    MMD_GILLESPIE,
    MMD_SBG,
    VICAR,
    TesConventions,
    TesResult,
    tes,
    tes_block,
    tes_parameters,
)

__all__ = [
    "ECOSTRESS",
    "GILLESPIE",
    "GILLESPIE_1998",
    "MMD_ECOSTRESS",
    "MMD_GILLESPIE",
    "MMD_SBG",
    "VICAR",
    "SplitWindowResult",
    "TesConventions",
    "TesResult",
    "split_window",
    "split_window_block",
    "split_window_table",
    "tes",
    "tes_block",
    "tes_parameters",
]
