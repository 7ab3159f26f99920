"""Where the sun is, to a tenth of a degree or so [Spencer 1971; NOAA solar equations]."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np


def solar_position(time: datetime, *, longitude: float, latitude: float) -> tuple[float, float]:
    """Return the sun's zenith angle and azimuth (deg, clockwise from true north).

    Parameters
    ----------
    time : datetime
        UTC; without a zone it is taken as UTC.
    longitude, latitude : float, deg
        East and north positive.

    Returns
    -------
    zenith, azimuth : float, deg
        The zenith angle exceeds 90 by night.
    """
    utc = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    hour = utc.hour + utc.minute / 60 + utc.second / 3600
    g = 2 * np.pi / 365.25 * (utc.timetuple().tm_yday - 1 + (hour - 12) / 24)
    declination = (
        0.006918
        - 0.399912 * np.cos(g)
        + 0.070257 * np.sin(g)
        - 0.006758 * np.cos(2 * g)
        + 0.000907 * np.sin(2 * g)
        - 0.002697 * np.cos(3 * g)
        + 0.00148 * np.sin(3 * g)
    )
    equation_min = 229.18 * (
        0.000075
        + 0.001868 * np.cos(g)
        - 0.032077 * np.sin(g)
        - 0.014615 * np.cos(2 * g)
        - 0.040849 * np.sin(2 * g)
    )
    angle = np.deg2rad((hour + equation_min / 60 + longitude / 15 - 12) * 15)
    phi = np.deg2rad(latitude)
    cosine = np.sin(phi) * np.sin(declination) + np.cos(phi) * np.cos(declination) * np.cos(angle)
    east = -np.cos(declination) * np.sin(angle)
    north = np.cos(phi) * np.sin(declination) - np.sin(phi) * np.cos(declination) * np.cos(angle)
    zenith = float(np.rad2deg(np.arccos(np.clip(cosine, -1, 1))))
    return zenith, float(np.rad2deg(np.arctan2(east, north)) % 360)
