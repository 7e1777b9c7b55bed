"""ISIC 2020 (SIIM-ISIC): dermoscopic images of patients, benign or melanoma, most benign ones unnamed.

Official layout: `ISIC_2020_Training_GroundTruth_v2.csv` (or the first version, which has no lesion ids) with
`ISIC_2020_Training_JPEG/train/<image>.jpg` or `ISIC_2020_Training_Dicom/train/<image>.dcm`,
`ISIC_2020_Test_Metadata.csv` with `ISIC_2020_Test_Input/`, and `ISIC_2020_Training_Duplicates.csv`; Kaggle's
names are read, too: `train.csv`, `test.csv`, `jpeg/train/`, `jpeg/test/`, `train/`, `test/`. JPEG comes
before DICOM. Source: Rotemberg et al. 2021, doi:10.1038/s41597-021-00815-z, CC BY-NC 4.0.

The official diagnosis `unknown` is a value: benign without a name. Official duplicates show one lesion, so
they get one lesion id; `official_duplicate` names the others.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from dermapair.data.adapters.common import OFFICIAL_UNKNOWN, numbers, read_table, require_codes
from dermapair.data.adapters.isic import ISICSet, Part, read_set
from dermapair.data.adapters.layout import JPEG, find_table
from dermapair.data.cases import CaseTable
from dermapair.errors import TableError

DIAGNOSES = (
    "nevus",
    "melanoma",
    "seborrheic keratosis",
    "lentigo NOS",
    "lichenoid keratosis",
    "solar lentigo",
    "cafe-au-lait macule",
    "atypical melanocytic proliferation",
    "unknown",
)
DUPLICATE = "official_duplicate"
"""Extra column: the images that the set lists as duplicates of this one."""

_NAMES = {
    "image_name": "image_id",
    "image": "image_id",
    "patient": "patient_id",
    "age_approx": "age",
    "anatom_site_general": "site",
    "anatom_site_general_challenge": "site",
}
_TRUTH = ("image_name", "patient_id", "sex", "age_approx", "anatom_site_general_challenge", "diagnosis")


def read(root: Path) -> CaseTable:
    """Return the case table of an ISIC 2020 folder; `benign_malignant` and `target` (0 or 1) are kept."""
    path = find_table(root, ["ISIC_2020_Training_Duplicates*.csv"])
    if path is None:
        return read_set(root, _SET)
    table = read_table(path, required=("image_name_1", "image_name_2"))
    table = table.select(image_id="image_name_1", other="image_name_2")
    table = pl.concat([table, table.select(image_id="other", other="image_id")]).unique(maintain_order=True)
    others = table.group_by("image_id").agg(pl.col("other").sort().str.join(" ").alias(DUPLICATE))
    return read_set(root, _SET, pairs=table, further=others)


def _truth(path: Path) -> pl.DataFrame:
    """Read the training table, in which `unknown` is a value of the diagnosis alone."""
    table = read_table(path, required=(*_TRUTH, "benign_malignant", "target"), unknown=("",))
    require_codes(table, "diagnosis", DIAGNOSES, image="image_name", path=path)
    require_codes(table, "target", ("0", "1"), image="image_name", path=path)
    names = pl.col("target").replace_strict({"0": "benign", "1": "malignant"}, return_dtype=pl.String)
    bad = table.with_row_index("row", 1).filter(names.ne_missing(pl.col("benign_malignant")))
    if len(bad):
        row, image, name, target = bad.select("row", "image_name", "benign_malignant", "target").row(0)
        raise TableError(
            f"{path}: row {row} ({image}): expected target 1 where benign_malignant is malignant and 0 where "
            f"it is benign, got {target} and {name!r}; correct the row"
        )
    others = pl.exclude("diagnosis")
    table = table.with_columns(pl.when(~others.is_in(OFFICIAL_UNKNOWN)).then(others))
    return _renamed(table, path).with_columns(pl.col("target").cast(pl.Int64))


def _metadata(path: Path) -> pl.DataFrame:
    """Read the table of the test images, by the challenge's names or Kaggle's."""
    table = read_table(path, required=("age_approx", "sex"))
    for one, other in (("image", "image_name"), ("patient", "patient_id")):
        if not {one, other} & set(table.columns):
            raise TableError(
                f"{path}: expected a column {one} or {other}, got {', '.join(table.columns)}; give the "
                f"official table"
            )
    return _renamed(table, path)


def _renamed(table: pl.DataFrame, path: Path) -> pl.DataFrame:
    table = table.with_columns(numbers(table, "age_approx", path=path))
    return table.rename({old: new for old, new in _NAMES.items() if old in table.columns})


_SET = ISICSet(
    "isic2020",
    parts=(
        Part(
            None,
            folders=[
                "ISIC_2020_Training_JPEG*/train",
                "ISIC_2020_Training_JPEG*",
                "ISIC_2020_Training_Input*",
                "jpeg/train",
                "ISIC_2020_Training_Dicom*/train",
                "ISIC_2020_Training_Dicom*",
                "train",
            ],
            truth=["ISIC_2020_Training_GroundTruth*.csv", "train.csv"],
            endings=(*JPEG, ".dcm"),
        ),
        Part(
            "test",
            folders=[
                "ISIC_2020_Test_Input*",
                "ISIC_2020_Test_JPEG*/ISIC_2020_Test_Input*",
                "ISIC_2020_Test_JPEG*",
                "jpeg/test",
                "ISIC_2020_Test_Dicom*/test",
                "ISIC_2020_Test_Dicom*",
                "test",
            ],
            metadata=["ISIC_2020_Test_Metadata*.csv", "test.csv"],
            endings=(*JPEG, ".dcm"),
        ),
    ),
    diagnoses=DIAGNOSES,
    truth=_truth,
    metadata=_metadata,
    constants={"view": "dermoscopic", "source": "ISIC 2020", "license": "CC BY-NC 4.0"},
)
