"""What stations measured: SURFRAD, BSRN and CSV files in one form.

A CSV has a column ``time`` (ISO 8601, UTC unless an offset is given), ``latitude`` and
``longitude`` (degrees, on each line or only on the first), and either ``longwave_up`` and
``longwave_down`` (W m-2) or ``surface_temperature`` (K). ``station`` (a name) and ``emissivity``
(broadband) are optional. Lines that begin with ``#`` are comments.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from aktes_xr.errors import DependencyError, InputError

FLUXES: Final = ("longwave_up", "longwave_down")
_TEMPERATURE: Final = "surface_temperature"
_BSRN_START: Final = ("*C0001", "*U0001")
# Latitude, longitude, height and the version of the format.
_SURFRAD_PLACE: Final = r"\s*-?\d+\.\d+\s+-?\d+\.\d+\s+\d+\s*m\s+version"
_SUFFIXES: Final = (".csv", ".dat", ".gz")
# Beyond these a flux is a fault of the instrument: black bodies of 190 and 350 K, and cold clear
# sky over high ground.
_FLUX_RANGE: Final = (40.0, 900.0)


@dataclass(frozen=True)
class Station:
    """A place and what was measured there.

    Attributes
    ----------
    name : str
    latitude, longitude : float, degrees
        North and east are positive.
    records : DataFrame
        By time (UTC, ascending, without zone): ``longwave_up`` and ``longwave_down`` (W m-2), or
        ``surface_temperature`` (K); and ``emissivity`` (1) where it is stated.
    """

    name: str
    latitude: float
    longitude: float
    records: pd.DataFrame

    @property
    def has_fluxes(self) -> bool:
        """Whether both longwave fluxes are there."""
        return set(FLUXES) <= set(self.records.columns)


def is_station_file(path: Path) -> bool:
    """Tell whether a file's name is that of a station's measurements.

    Parameters
    ----------
    path : Path

    Returns
    -------
    bool
    """
    return path.suffix.lower() in _SUFFIXES


def read_stations(paths: Iterable[Path]) -> tuple[Station, ...]:
    """Read files of stations; files of one station become one.

    Parameters
    ----------
    paths : iterable of Path
        SURFRAD's daily files (``.dat``), BSRN's station-to-archive files (``.dat``, ``.dat.gz``),
        or CSV (see the module).

    Returns
    -------
    tuple of Station
        By name.

    Raises
    ------
    InputError
        A file is none of these, or its contents break the format.
    DependencyError
        pvlib, which reads SURFRAD and BSRN, is not installed.
    """
    parts: dict[str, list[Station]] = {}
    for path in paths:
        for station in _read(Path(path)):
            parts.setdefault(station.name, []).append(station)
    return tuple(_joined(parts[name]) for name in sorted(parts))


def _joined(parts: Sequence[Station]) -> Station:
    first = parts[0]
    records = pd.concat([part.records for part in parts]).sort_index()
    records = records[~records.index.duplicated()]
    return Station(first.name, first.latitude, first.longitude, records)


def _read(path: Path) -> list[Station]:
    if path.suffix.lower() == ".csv":
        return _read_csv(path)
    first, second = _head(path)
    if first.startswith(_BSRN_START):
        return [_read_bsrn(path)]
    if re.match(_SURFRAD_PLACE, second):
        return [_read_surfrad(path)]
    raise InputError(
        f"{path.name} begins neither as a SURFRAD daily file nor as a BSRN station-to-archive "
        "file; expected one of them, or a CSV with the suffix .csv"
    )


def _head(path: Path) -> tuple[str, str]:
    """Return the first two lines of a text, compressed or not."""
    try:
        if path.suffix.lower() == ".gz":
            with gzip.open(path, "rt", encoding="ascii") as file:
                return file.readline(), file.readline()
        with path.open(encoding="ascii") as file:
            return file.readline(), file.readline()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path.name} is no text: expected SURFRAD, BSRN or CSV measurements of a station"
        ) from error


def _pvlib() -> Any:
    try:
        import pvlib.iotools
    except ImportError as error:
        raise DependencyError(
            "SURFRAD and BSRN files are read by pvlib, which is not installed: "
            "pip install 'aktes-xr[stations]'"
        ) from error
    return pvlib.iotools


def _read_surfrad(path: Path) -> Station:
    try:
        data, place = _pvlib().read_surfrad(path, map_variables=False)
        up, down = (
            data[name].where(data[f"{name}_flag"] == 0).to_numpy() for name in ("uw_ir", "dw_ir")
        )
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path.name} breaks the form of SURFRAD daily files: {error}") from error
    # All of the network lies west of Greenwich; some files leave the sign out.
    return _station(
        place["name"], (place["latitude"], -abs(place["longitude"])), data.index, up, down
    )


def _read_bsrn(path: Path) -> Station:
    try:
        data, place = _pvlib().read_bsrn(path, logical_records=("0100", "0300"))
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise InputError(
            f"{path.name} breaks the form of BSRN station-to-archive files: {error}"
        ) from error
    if "lwu" not in data or "lwd" not in data:
        raise InputError(
            f"{path.name} holds no upwelling longwave flux (logical record 0300); choose a BSRN "
            "station that measures it"
        )
    name = str(place.get("station identification number", path.name.partition(".")[0]))
    # Labels are the beginnings of minutes.
    times = data.index + pd.Timedelta(seconds=30)
    spot = (place["latitude"], place["longitude"])
    return _station(f"BSRN {name}", spot, times, data["lwu"].to_numpy(), data["lwd"].to_numpy())


def _station(name: str, place: tuple[float, float], times: Any, up: Any, down: Any) -> Station:
    low, high = _FLUX_RANGE
    records = pd.DataFrame(
        {"longwave_up": np.asarray(up, float), "longwave_down": np.asarray(down, float)},
        index=_utc(times),
    )
    records = records.where((records > low) & (records < high)).dropna(how="any").sort_index()
    return Station(name, float(place[0]), float(place[1]), records)


def _utc(times: Any) -> pd.DatetimeIndex:
    index = pd.DatetimeIndex(pd.to_datetime(times, utc=True, format="ISO8601"))
    return index.tz_convert(None)


def _read_csv(path: Path) -> list[Station]:
    try:
        table = pd.read_csv(path, comment="#", skipinitialspace=True)
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} is no CSV: {error}") from error
    wanted = {"time", "latitude", "longitude"}
    measured = {_TEMPERATURE} <= set(table) or set(FLUXES) <= set(table)
    if not (wanted <= set(table) and measured):
        raise InputError(
            f"{path.name} has columns {', '.join(map(str, table.columns))}; expected time, "
            f"latitude, longitude, and {_TEMPERATURE} (K) or {' and '.join(FLUXES)} (W m-2)"
        )
    names = table["station"].ffill() if "station" in table else path.stem
    try:
        index = _utc(table["time"])
        columns = [c for c in (*FLUXES, _TEMPERATURE, "emissivity") if c in table]
        values = table[columns].astype(float).set_index(index)
        places = table[["latitude", "longitude"]].astype(float).ffill().set_index(index)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path.name} holds a time or number that cannot be read: {error}"
        ) from error
    found = []
    for name, rows in values.groupby(np.broadcast_to(np.asarray(names, str), len(table))):
        chosen = places[np.broadcast_to(np.asarray(names, str) == name, len(table))]
        latitude, longitude = (float(v) for v in chosen.iloc[0])
        _check_place(path, latitude, longitude)
        if _TEMPERATURE in rows:
            _check_kelvin(path, rows[_TEMPERATURE])
        found.append(Station(str(name), latitude, longitude, rows.sort_index()))
    return found


def _check_place(path: Path, latitude: float, longitude: float) -> None:
    if not (-90.0 <= latitude <= 90.0 and -180.0 <= longitude <= 360.0):
        raise InputError(
            f"{path.name} places a station at latitude {latitude:g}, longitude {longitude:g}; "
            "expected degrees, north and east positive"
        )


def _check_kelvin(path: Path, values: pd.Series) -> None:
    median = float(values.median())
    if not 150.0 < median < 400.0:
        raise InputError(f"{path.name} has a median {_TEMPERATURE} of {median:g}; expected kelvin")
