"""ISIC 2017 part 3: dermoscopic images of nevi, melanomas and seborrheic keratoses.

Official layout: `ISIC-2017_<Part>_Data/<image_id>.jpg` with `ISIC-2017_<Part>_Part3_GroundTruth.csv` and
`ISIC-2017_<Part>_Data_metadata.csv`; Part is Training, Validation or Test_v2, kept as splits. Source: Codella
et al. 2018, arXiv 1710.05006, CC-0. The set knows no lesions, so each image is its own. A nevus is a row with
neither of the two truths.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from dermapair.data.adapters.common import one_hot_label, read_table
from dermapair.data.adapters.isic import ISICSet, Part, metadata_reader, read_set
from dermapair.data.cases import CaseTable

DIAGNOSES = ("nevus", "melanoma", "seborrheic_keratosis")


def read(root: Path) -> CaseTable:
    """Return the case table of an ISIC 2017 folder, with whichever of its parts are there."""
    return read_set(root, _SET)


def _part(name: str, split: str) -> Part:
    return Part(
        split,
        folders=[f"ISIC-2017_{name}*_Data"],
        truth=[f"ISIC-2017_{name}*_Part3_GroundTruth*.csv"],
        metadata=[f"ISIC-2017_{name}*_Data_metadata*.csv"],
    )


def _truth(path: Path) -> pl.DataFrame:
    table = read_table(path, required=("image_id", *DIAGNOSES[1:]))
    return table.select("image_id", one_hot_label(table, DIAGNOSES[1:], path=path, none="nevus"))


_SET = ISICSet(
    "isic2017",
    parts=(_part("Training", "train"), _part("Validation", "val"), _part("Test", "test")),
    diagnoses=DIAGNOSES,
    truth=_truth,
    metadata=metadata_reader("image_id", {"age_approximate": "age", "sex": "sex"}),
    constants={"view": "dermoscopic", "source": "ISIC 2017", "license": "CC-0"},
)
