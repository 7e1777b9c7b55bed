"""ISIC 2024 (SLICE-3D): crops of lesions from 3D photographs of the whole body, benign or malignant.

Kaggle's layout: `train-metadata.csv` with `train-image/image/<isic_id>.jpg` or `train-image.hdf5`, and
`test-metadata.csv` with `test-image.hdf5`. The challenge page's: `ISIC_2024_Training_GroundTruth.csv` and
`_Supplement.csv` with `ISIC_2024_Training_Input/<isic_id>.jpg` and its `metadata.csv`. A picture in an HDF5
file has the path `train-image.hdf5/<isic_id>`. Source: Kurtansky et al. 2024,
doi:10.1038/s41597-024-03743-w, CC BY-NC 4.0 (each image has its own licence). The crops look like close
photographs, taken without a dermatoscope, so their view is `clinical`.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from dermapair.data.adapters.common import numbers, read_table, require_codes
from dermapair.data.adapters.isic import ISICSet, Part, read_set
from dermapair.data.cases import CaseTable

DIAGNOSES = ("benign", "malignant")
_NAMES = {
    "isic_id": "image_id",
    "age_approx": "age",
    "anatom_site_general": "site",
    "copyright_license": "license",
}
_TEXT = ("tbp_lv_location", "tbp_lv_location_simple")
_NUMBERS = ("age_approx", "clin_size_long_diam_mm", "mel_thick_mm")


def read(root: Path) -> CaseTable:
    """Return the case table of an ISIC 2024 folder; every official column is kept, measures as numbers."""
    return read_set(root, _SET)


def _truth(path: Path) -> pl.DataFrame:
    """Read `target` of Kaggle's table, or `malignant` of the challenge page's."""
    table = _metadata(path)
    column = "malignant" if "malignant" in table.columns else "target"
    if column not in table.columns:
        read_table(path, required=("target",))
    table = table.with_columns(pl.col(column).str.replace(r"^([01])\.0$", "$1"))
    require_codes(table, column, ("0", "1"), image="image_id", path=path)
    codes = dict(zip(("0", "1"), DIAGNOSES, strict=True))
    return table.with_columns(
        pl.col(column).cast(pl.Int64), diagnosis=pl.col(column).replace_strict(codes, return_dtype=pl.String)
    )


def _metadata(path: Path) -> pl.DataFrame:
    table = read_table(path, required=("isic_id",))
    measures = [
        name
        for name in table.columns
        if name in _NUMBERS or (name.startswith("tbp_lv_") and name not in _TEXT)
    ]
    table = table.with_columns([numbers(table, name, path=path) for name in measures])
    return table.rename({old: new for old, new in _NAMES.items() if old in table.columns})


_SET = ISICSet(
    "isic2024",
    parts=(
        Part(
            None,
            folders=["train-image/image", "train-image", "ISIC_2024_Training_Input*", "train-image.hdf5"],
            truth=["train-metadata.csv", "ISIC_2024_Training_GroundTruth*.csv"],
            metadata=["metadata.csv", "ISIC_2024_Training_Supplement*.csv"],
        ),
        Part(
            "test",
            folders=["test-image/image", "test-image", "ISIC_2024_Test_Input*", "test-image.hdf5"],
            metadata=["test-metadata.csv"],
        ),
    ),
    diagnoses=DIAGNOSES,
    truth=_truth,
    metadata=_metadata,
    constants={"view": "clinical", "source": "ISIC 2024", "license": "CC BY-NC 4.0"},
)
