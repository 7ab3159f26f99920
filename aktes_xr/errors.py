"""The exception tree: each class is also the builtin a caller expects, with a stable ``code``.

A message says what was found, what was expected and what to do about it. It never contains a
query string, a token or a credential. ``exit_code`` is how a command ends that meets the error.
"""

from __future__ import annotations

from typing import ClassVar


def printable(text: str) -> str:
    r"""Return ``text`` with all but printable characters and line ends as escapes (``\x1b``).

    Control characters, half surrogates and marks that reverse the direction of writing cannot reach
    a terminal, a log or an attribute this way.

    Parameters
    ----------
    text : str
        Any text, also of a stranger: a file's name, an answer of a server.

    Returns
    -------
    str
        The text, safe to show on one or more lines.
    """
    return "".join(
        one
        if one.isprintable() or one == "\n"
        else one.encode("unicode_escape", "surrogatepass").decode("ascii")
        for one in text
    )


class AktesError(Exception):
    """Root of every error this package raises on purpose."""

    code: ClassVar[str] = "aktes"
    exit_code: ClassVar[int] = 2
    """2: the caller can mend it. 4: a file, disk, network or cluster failed, which may pass."""

    def __str__(self) -> str:
        # KeyError would show the repr of its argument: a message in quotes. Messages quote names
        # that others chose: nothing in them may steer a terminal.
        return printable(str(self.args[0])) if self.args else self.code


class InputError(AktesError, ValueError):
    """An argument is out of its range or of the wrong kind."""

    code = "input"


class ShapeError(InputError):
    """An array has not the dimensions it should have."""

    code = "input.shape"


class CalibrationError(InputError):
    """A radiometric coefficient in a file contradicts the sensor's own."""

    code = "sensor.calibration"


class CubeError(InputError):
    """A dataset breaks the contract of the input cube."""

    code = "cube"


class MissingVariableError(CubeError, KeyError):
    """A variable or coordinate the work needs is not in the cube."""

    code = "cube.missing"


class BandError(CubeError):
    """The thermal bands are incomplete or out of order."""

    code = "cube.band"


class DimensionError(CubeError):
    """A variable's dimensions are not those of the contract."""

    code = "cube.dimension"


class UnitsError(CubeError):
    """Units are missing or not those of the contract."""

    code = "cube.units"


class DTypeError(CubeError, TypeError):
    """A variable's data type is not that of the contract."""

    code = "cube.dtype"


class CRSError(CubeError):
    """The coordinate reference system is missing, geographic or not in metres."""

    code = "cube.crs"


class GridError(CubeError):
    """Two fields that must share a grid do not."""

    code = "cube.grid"


class NodataError(CubeError):
    """A field has no valid value at all."""

    code = "cube.nodata"


class OverlapError(GridError, NodataError):
    """Two data sets that are to be compared have no ground or no time in common."""

    code = "cube.overlap"


class ProfileError(InputError):
    """An atmospheric profile is not physical; the message names the level."""

    code = "radiative.profile"


class TerrainError(InputError):
    """A terrain computation cannot be done with this elevation model."""

    code = "terrain"


class ChunkError(TerrainError):
    """A chunk is smaller than the halo a terrain index needs."""

    code = "terrain.chunk"


class AncillaryError(InputError):
    """A source of ancillary variables cannot be used; the message says why."""

    code = "ancillary"


class GranuleError(AncillaryError):
    """A source of cloud masks has no granule for a date."""

    code = "ancillary.granule"


class StacError(AktesError, ValueError):
    """STAC items cannot be used as they are."""

    code = "stac"


class NoItemsError(StacError):
    """No item is left to load."""

    code = "stac.no_items"


class AssetError(StacError, KeyError):
    """An item holds no asset the loader knows."""

    code = "stac.asset"


class CatalogError(StacError):
    """A source definition breaks its schema."""

    code = "stac.catalog"


class SearchError(StacError, OSError):
    """A search service or catalogue does not answer, or answers with a failure: try again."""

    code = "stac.search"
    exit_code = 4


class NetworkError(AktesError, OSError):
    """A host does not answer, or answers with a failure.

    Attributes
    ----------
    status : HTTP status, or None where there was no answer
    """

    code = "network"

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ReadError(AktesError, OSError):
    """A raster could not be read."""

    code = "stac.read"
    exit_code = 4


class ElevationError(ReadError, ValueError):
    """What was named as elevation model is no raster that can be opened."""

    code = "stac.elevation"
    exit_code = 2


class AccessError(ReadError, PermissionError):
    """An archive refuses to be read: a signature or a login is missing or wrong."""

    code = "stac.access"


class BundleError(AktesError, ValueError):
    """A model bundle cannot be used."""

    code = "bundle"


class BundleNotFoundError(BundleError, FileNotFoundError):
    """There is no bundle at that place."""

    code = "bundle.not_found"


class BundleIntegrityError(BundleError):
    """A bundle's file is missing, truncated or not what its hash says."""

    code = "bundle.integrity"


class BundleVersionError(BundleError):
    """A bundle was written by a newer schema than this package reads."""

    code = "bundle.version"


class UnsafeBundleError(BundleError):
    """A bundle holds something that would run code when it is loaded."""

    code = "bundle.unsafe"


class StoreError(AktesError, OSError):
    """A result could not be written or read."""

    code = "store"
    exit_code = 4


class StoreNotFoundError(StoreError, FileNotFoundError):
    """There is no store at the place."""

    code = "store.not_found"
    exit_code = 2


class StoreExistsError(StoreError, FileExistsError):
    """The target exists and was not to be replaced."""

    code = "store.exists"
    exit_code = 2


class WorseResultError(StoreError):
    """The new result is so much worse than the one it would replace that the old one was kept."""

    code = "store.worse"
    exit_code = 6


class StoreBusyError(StoreError, BlockingIOError):
    """Another run is writing to the same place."""

    code = "store.busy"
    exit_code = 7


class ClusterError(AktesError, ConnectionError):
    """A Dask cluster was lost, or has no worker that works."""

    code = "cluster"
    exit_code = 4


class DependencyError(AktesError, ImportError):
    """An optional package this work needs is not installed."""

    code = "dependency"


class TrainingError(AktesError, RuntimeError):
    """A search or a training run could not be completed."""

    code = "learn"


class ResourceError(AktesError, RuntimeError):
    """The work does not fit this machine; the message says which setting would."""

    code = "resource"


class ConfigError(InputError):
    """A configuration file breaks its schema."""

    code = "config"
