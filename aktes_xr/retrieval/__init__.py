"""Surface temperature and emissivity of a cube: lazily mapped, one block function per chunk.

``mapping`` checks and ``graph`` says which task needs what; ``fields`` brings a cube's variables to
the planes that the block function takes; ``block`` runs one chunk: ``classification`` says what a
pixel is, ``description`` fills ``tiles`` of pixels, ``estimation`` passes them through networks, or
``physical`` runs a baseline; ``neighbourhood`` sums what lies around a pixel; ``result`` names what
comes out.
"""

from aktes_xr.retrieval.block import METHODS, Method
from aktes_xr.retrieval.mapping import retrieve

__all__ = ["METHODS", "Method", "retrieve"]
