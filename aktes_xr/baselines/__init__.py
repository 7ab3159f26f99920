"""Physics retrievals that every claim is measured against: TES and the generalised split window."""

from __future__ import annotations

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
    "TesConventions",
    "TesResult",
    "tes",
    "tes_block",
    "tes_parameters",
]
