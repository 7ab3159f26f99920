"""Unattended work: one retrieval from search to store, with an account of what happened."""

from __future__ import annotations

from aktes_xr.jobs.retrieval import (
    DateOutcome,
    Outcome,
    Request,
    open_request,
    retrieve_to_store,
)

__all__ = [
    "DateOutcome",
    "Outcome",
    "Request",
    "open_request",
    "retrieve_to_store",
]
