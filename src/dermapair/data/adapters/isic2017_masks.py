"""Images of ISIC 2017 with the lesion masks that experts drew.

Layout: `labels.csv` (`image_id, isic2017_split, isic2017_label`, and more that is not read),
`images/<image_id>.jpg`, `masks/<image_id>_segmentation.png`. The images are those of ISIC 2017 part 3 that
have a mask in ISIC 2018 task 1, image and mask cut to one frame. Source: Codella et al. 2018, arXiv
1710.05006, CC-0. The set knows no lesions, so each image is its own.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from dermapair.data.adapters.common import read_table, require_files
from dermapair.data.adapters.isic2017 import DIAGNOSES
from dermapair.data.cases import MASK, CaseTable, case_frame


def read(root: Path) -> CaseTable:
    """Return the case table, with the lesion mask of each image in the extra column `mask`."""
    labels = read_table(root / "labels.csv", required=("image_id", "isic2017_split", "isic2017_label"))
    frame = labels.select(
        "image_id",
        pl.col("image_id").alias("lesion_id"),
        pl.lit("dermoscopic").alias("view"),
        pl.format("images/{}.jpg", "image_id").alias("path"),
        pl.col("isic2017_label").alias("diagnosis"),
        pl.col("isic2017_split").alias("split"),
        pl.lit("ISIC 2017").alias("source"),
        pl.lit("CC-0").alias("license"),
        pl.format("masks/{}_segmentation.png", "image_id").alias(MASK),
        pl.col("isic2017_split").alias("official_split"),
    )
    facts = {"adapter": "isic2017-masks", "lesion_ids": "image"}
    table = CaseTable(case_frame(frame), root, DIAGNOSES, facts)
    require_files(root, [*table.frame["path"], *table.frame[MASK]])
    return table
