"""What every test may rely on: figures need no display, and nothing outlives a test."""

from __future__ import annotations

import os

os.environ.setdefault("MPLBACKEND", "Agg")
