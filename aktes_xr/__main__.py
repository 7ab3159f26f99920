"""``python -m aktes_xr``: the same as ``aktes``."""

from aktes_xr.cli import app

if __name__ == "__main__":
    app()
