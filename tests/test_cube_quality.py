from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from aktes_xr.cube.quality import MEANINGS, METHOD_MASK, QualityFlag, decode, flag_attributes
from aktes_xr.errors import MissingVariableError


def test_attributes_follow_cf() -> None:
    attributes = flag_attributes()
    masks, values = attributes["flag_masks"], attributes["flag_values"]
    names = attributes["flag_meanings"].split()
    assert masks.dtype == values.dtype == np.uint16
    assert len(masks) == len(values) == len(names) == len(set(names)) == len(MEANINGS)
    # CF: a value lies within its mask, and values of one mask differ.
    assert ((masks & values) == values).all()
    pairs = list(zip(masks.tolist(), values.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    alone = masks[masks != METHOD_MASK]
    assert int(np.bitwise_or.reduce(alone)) & METHOD_MASK == 0


def test_decode_separates_method_and_conditions() -> None:
    fusion = QualityFlag.RETRIEVED_BY_FUSION | QualityFlag.STEEP
    quality = xr.DataArray(
        da.from_array(np.array([fusion, QualityFlag.RETRIEVED_BY_TEACHER, 1], np.uint16)), dims="x"
    )
    decoded = decode(quality)
    assert decoded["steep"].chunks is not None
    assert decoded["retrieved_by_fusion"].values.tolist() == [True, False, False]
    # The fusion's number has the teacher's and the student's bits: they must not show.
    assert decoded["retrieved_by_teacher"].values.tolist() == [False, True, False]
    assert decoded["retrieved_by_student"].values.tolist() == [False, False, False]
    assert decoded["steep"].values.tolist() == [True, False, False]
    assert decoded["fill"].values.tolist() == [False, False, True]


def test_decode_refuses_masked_flags() -> None:
    with pytest.raises(MissingVariableError, match="uint16"):
        decode(xr.DataArray(np.array([1.0, np.nan]), dims="x"))
