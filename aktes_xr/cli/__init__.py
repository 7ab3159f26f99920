"""The ``aktes`` command."""

from aktes_xr.cli.commands import app

__all__ = ["app"]
