"""ISIC 2018 task 3: dermoscopic images of seven diagnoses, the training part being HAM10000.

Official layout: `ISIC2018_Task3_<Part>_Input/<image_id>.jpg` with `ISIC2018_Task3_<Part>_GroundTruth.csv`, in
a folder of the same name or beside it, and `ISIC2018_Task3_Training_LesionGroupings.csv`; Part is Training,
Validation or Test, kept as splits. Source: Codella et al. 2019, arXiv 1902.03368, and Tschandl et al. 2018,
doi:10.1038/sdata.2018.161, CC BY-NC 4.0. Only the training part has lesion ids, in the table of groupings;
elsewhere each image is its own lesion. No patient ids exist.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from dermapair.data.adapters.common import one_hot_label, read_table
from dermapair.data.adapters.isic import ISICSet, Part, metadata_reader, read_set
from dermapair.data.cases import CaseTable

DIAGNOSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")


def read(root: Path) -> CaseTable:
    """Return the case table of an ISIC 2018 folder, with whichever of its parts are there.

    `diagnosis_confirm_type` (how a diagnosis was confirmed) is kept.
    """
    return read_set(root, _SET)


def _part(name: str, split: str) -> Part:
    stem = f"ISIC2018_Task3_{name}*"
    return Part(
        split,
        folders=[f"{stem}_Input"],
        truth=[f"{stem}_GroundTruth*.csv"],
        metadata=[f"{stem}_LesionGroupings*.csv"],
        lesions=f"{stem}_LesionGroupings*.csv" if name == "Training" else "",
    )


def _truth(path: Path) -> pl.DataFrame:
    table = read_table(path, required=("image", *DIAGNOSES))
    return table.select(pl.col("image").alias("image_id"), one_hot_label(table, DIAGNOSES, path=path))


_SET = ISICSet(
    "isic2018",
    parts=(_part("Training", "train"), _part("Validation", "val"), _part("Test", "test")),
    diagnoses=DIAGNOSES,
    truth=_truth,
    metadata=metadata_reader("image", {"lesion_id": "lesion_id"}, kept=["diagnosis_confirm_type"]),
    constants={"view": "dermoscopic", "source": "ISIC 2018", "license": "CC BY-NC 4.0"},
)
