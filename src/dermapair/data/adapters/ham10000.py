"""HAM10000: dermoscopic images of seven diagnoses, several of some lesions.

Official layout: `HAM10000_metadata.csv` (or without an ending, as the Dataverse has it) beside
`HAM10000_images_part_1/` and `_part_2/`, or one folder `HAM10000_images/`, with `<image_id>.jpg`. Source:
Tschandl et al. 2018, doi:10.1038/sdata.2018.161, CC BY-NC 4.0. No patient ids exist.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from dermapair.data.adapters.common import numbers, read_table, require_codes, require_files
from dermapair.data.cases import CaseTable, case_frame

DIAGNOSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
FOLDERS = ("HAM10000_images", "HAM10000_images_part_1", "HAM10000_images_part_2")
_METADATA = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")


def read(root: Path) -> CaseTable:
    """Return the case table of a HAM10000 folder; `dx_type` (how a diagnosis was confirmed) is kept."""
    named = [root / name for name in ("HAM10000_metadata.csv", "HAM10000_metadata")]
    path = next((path for path in named if path.is_file()), named[0])
    table = read_table(path, required=_METADATA)
    require_codes(table, "dx", DIAGNOSES, image="image_id", path=path)
    table = table.with_columns(numbers(table, "age", path=path))
    there = {image.stem: f"{name}/{image.name}" for name in FOLDERS for image in (root / name).glob("*.jpg")}
    frame = table.select(
        "image_id",
        "lesion_id",
        pl.lit("dermoscopic").alias("view"),
        pl.col("image_id").replace_strict(there, default=None, return_dtype=pl.String).alias("found"),
        pl.col("dx").alias("diagnosis"),
        "age",
        "sex",
        pl.col("localization").alias("site"),
        pl.lit("HAM10000").alias("source"),
        pl.lit("CC BY-NC 4.0").alias("license"),
        "dx_type",
    )
    absent = pl.format(f"{FOLDERS[0]}/{{}}.jpg", "image_id")
    frame = frame.with_columns(path=pl.coalesce("found", absent)).drop("found")
    require_files(root, frame["path"])
    facts = {"adapter": "ham10000", "lesion_ids": "lesion"}
    return CaseTable(case_frame(frame), root, DIAGNOSES, facts)
