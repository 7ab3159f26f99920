"""Clear-sky radiative transfer for the five thermal bands."""
