"""Surface temperature and emissivity of a cube: lazily mapped, one block function per chunk.

``mapping`` checks the cube, and ``graph`` says which task needs what. ``inputs`` brings a cube's
variables to the planes that the block function takes. ``block`` runs one chunk: ``flags`` says what
each pixel is, ``gathering`` fills ``tiles`` of pixels, and ``networks`` estimates them, or
``physics`` runs a baseline. ``surroundings`` describes what lies around a pixel. ``result`` gives
names to what comes out.
"""

from aktes_xr.retrieval.block import METHODS, Method
from aktes_xr.retrieval.mapping import retrieve

__all__ = ["METHODS", "Method", "retrieve"]
