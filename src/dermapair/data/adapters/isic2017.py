"""ISIC 2017 part 3: dermoscopic images of nevi, melanomas and seborrheic keratoses.

Official layout: `ISIC-2017_<Part>_Data/<image_id>.jpg` with `ISIC-2017_<Part>_Part3_GroundTruth.csv` and
`ISIC-2017_<Part>_Data_metadata.csv`; Part is Training, Validation or Test_v2, kept as splits. Source: Codella
et al. 2018, arXiv 1710.05006, CC-0. The set knows no lesions, so each image is its own. A nevus is a row with
neither of the two truths.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from dermapair.data.adapters.common import numbers, one_hot_label, read_table, require_files
from dermapair.data.cases import CaseTable, case_frame
from dermapair.errors import TableError

DIAGNOSES = ("nevus", "melanoma", "seborrheic_keratosis")
SPLIT_OF = {"Training": "train", "Validation": "val", "Test_v2": "test", "Test": "test"}


def read(root: Path) -> CaseTable:
    """Return the case table of an ISIC 2017 folder, with whichever of its parts are there."""
    parts = [
        part
        for part in SPLIT_OF
        if (root / f"ISIC-2017_{part}_Data").is_dir() or _truth_of(root, part).is_file()
    ]
    if not parts:
        raise TableError(
            f"{root}: expected a folder ISIC-2017_Training_Data, _Validation_Data or _Test_v2_Data"
        )
    frame = pl.concat([_read_part(root, part) for part in parts], how="diagonal_relaxed")
    table = CaseTable(case_frame(frame), root, DIAGNOSES, {"adapter": "isic2017", "lesion_ids": "image"})
    require_files(root, table.frame["path"])
    return table


def _truth_of(root: Path, part: str) -> Path:
    return root / f"ISIC-2017_{part}_Part3_GroundTruth.csv"


def _read_part(root: Path, part: str) -> pl.DataFrame:
    """Return the rows of one official part; without a truth table, of the images in its folder."""
    folder = root / f"ISIC-2017_{part}_Data"
    truth_path = _truth_of(root, part)
    if truth_path.is_file():
        truth = read_table(truth_path, required=("image_id", *DIAGNOSES[1:]))
        label = one_hot_label(truth, DIAGNOSES[1:], path=truth_path, none="nevus")
        frame = truth.select("image_id", label)
    else:
        ids = sorted(path.stem for path in folder.glob("*.jpg"))
        frame = pl.DataFrame({"image_id": ids, "diagnosis": pl.Series([None] * len(ids), dtype=pl.String)})
    frame = _with_metadata(frame, root / f"ISIC-2017_{part}_Data_metadata.csv", folder)
    return frame.with_columns(
        pl.col("image_id").alias("lesion_id"),
        pl.lit("dermoscopic").alias("view"),
        pl.format(f"{folder.name}/{{}}.jpg", "image_id").alias("path"),
        pl.lit(SPLIT_OF[part]).alias("split"),
        pl.lit(SPLIT_OF[part]).alias("official_split"),
        pl.lit("ISIC 2017").alias("source"),
        pl.lit("CC-0").alias("license"),
    )


def _with_metadata(frame: pl.DataFrame, beside: Path, folder: Path) -> pl.DataFrame:
    """Join age and sex from the table beside or inside the image folder, where there is one."""
    path = next((p for p in (beside, folder / beside.name) if p.is_file()), None)
    if path is None:
        return frame
    table = read_table(path, required=("image_id", "age_approximate", "sex"))
    table = table.with_columns(numbers(table, "age_approximate", path=path).alias("age"))
    return frame.join(
        table.select("image_id", "age", "sex"), on="image_id", how="left", maintain_order="left"
    )
