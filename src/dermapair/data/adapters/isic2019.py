"""ISIC 2019: dermoscopic images of eight diagnoses, and of none of these in the test part.

Official layout: `ISIC_2019_<Part>_Input/<image>.jpg` with `ISIC_2019_<Part>_GroundTruth.csv` and
`ISIC_2019_<Part>_Metadata.csv`; Part is Training or Test. Source: Tschandl et al. 2018, Codella et al. 2018,
Combalia et al. 2019 (arXiv 1908.02288), CC BY-NC 4.0. An image without a lesion id is its own lesion. UNK,
none of the others, has no training image. No patient ids exist.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from dermapair.data.adapters.common import numbers, one_hot_label, read_table
from dermapair.data.adapters.isic import ISICSet, Part, metadata_reader, read_set
from dermapair.data.cases import CaseTable

DIAGNOSES = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")
WEIGHTS = ("score_weight", "validation_weight")
"""Extra columns that a truth may have: how much an image counts in the challenge's two scores."""


def read(root: Path) -> CaseTable:
    """Return the case table of an ISIC 2019 folder, with whichever of its parts are there."""
    return read_set(root, _SET)


def _part(name: str, split: str | None) -> Part:
    stem = f"ISIC_2019_{name}*"
    return Part(
        split,
        folders=[f"{stem}_Input"],
        truth=[f"{stem}_GroundTruth*.csv"],
        metadata=[f"{stem}_Metadata*.csv"],
        lesions=f"{stem}_Metadata*.csv" if name == "Training" else "",
    )


def _truth(path: Path) -> pl.DataFrame:
    table = read_table(path, required=("image", *DIAGNOSES))
    weights = [numbers(table, name, path=path) for name in WEIGHTS if name in table.columns]
    label = one_hot_label(table, DIAGNOSES, path=path)
    return table.select(pl.col("image").alias("image_id"), label, *weights)


_COLUMNS = {"age_approx": "age", "anatom_site_general": "site", "sex": "sex"}
_SET = ISICSet(
    "isic2019",
    parts=(_part("Training", None), _part("Test", "test")),
    diagnoses=DIAGNOSES,
    truth=_truth,
    metadata=metadata_reader("image", _COLUMNS, kept=["lesion_id"]),
    constants={"view": "dermoscopic", "source": "ISIC 2019", "license": "CC BY-NC 4.0"},
)
