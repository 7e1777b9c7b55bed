"""HAM10000: dermoscopic images of seven diagnoses, several of some lesions.

Official layout: `HAM10000_metadata.csv` (as the Dataverse has it without an ending, or `.tab` with tabs)
beside or in `HAM10000_images_part_1/` and `_part_2/`, or one folder `HAM10000_images/`, with
`<image_id>.jpg`. Source: Tschandl et al. 2018, doi:10.1038/sdata.2018.161, CC BY-NC 4.0. No patient ids
exist.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from dermapair.data.adapters.common import numbers, read_table, require_codes, require_files
from dermapair.data.adapters.layout import JPEG, find_table, list_images, places
from dermapair.data.cases import CaseTable, case_frame

DIAGNOSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
FOLDERS = ("HAM10000_images", "HAM10000_images_part_1", "HAM10000_images_part_2")
_TABLES = ("HAM10000_metadata.csv", "HAM10000_metadata", "HAM10000_metadata.tab")
_METADATA = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")


def read(root: Path) -> CaseTable:
    """Return the case table of a HAM10000 folder; `dx_type` (how a diagnosis was confirmed) is kept."""
    folders = [place for name in FOLDERS for place in places(root, name)]
    path = find_table(root, _TABLES, folders) or root / _TABLES[0]
    table = read_table(path, required=_METADATA, separator="\t" if path.suffix == ".tab" else ",")
    require_codes(table, "dx", DIAGNOSES, image="image_id", path=path)
    table = table.with_columns(numbers(table, "age", path=path))
    table = table.join(list_images(root, folders, JPEG), on="image_id", how="left", maintain_order="left")
    frame = table.select(
        "image_id",
        "lesion_id",
        pl.lit("dermoscopic").alias("view"),
        pl.coalesce("path", pl.format(f"{FOLDERS[0]}/{{}}.jpg", "image_id")).alias("path"),
        pl.col("dx").alias("diagnosis"),
        "age",
        "sex",
        pl.col("localization").alias("site"),
        pl.lit("HAM10000").alias("source"),
        pl.lit("CC BY-NC 4.0").alias("license"),
        "dx_type",
    )
    require_files(root, frame["path"])
    facts = {"adapter": "ham10000", "lesion_ids": "lesion"}
    return CaseTable(case_frame(frame), root, DIAGNOSES, facts)
