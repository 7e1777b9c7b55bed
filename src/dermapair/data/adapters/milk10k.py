"""MILK10k (ISIC 2025): pairs of a clinical close-up and a dermoscopic image, 11 diagnoses.

Official layout: `MILK10k_<Part>_Input/<lesion_id>/<isic_id>.jpg` with `MILK10k_<Part>_Metadata.csv`,
`_GroundTruth.csv` and `_Supplement.csv` beside it or in it; Part is Training or Test. Source: MILK study
team, MILK10k, ISIC Archive 2025, doi:10.34970/648456, CC BY-NC 4.0. No patient ids exist. `skin_tone` is the
set's own scale, 0 (very dark) to 5 (very light).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from dermapair.data.adapters.common import numbers, one_hot_label, read_table, require_files
from dermapair.data.adapters.layout import JPEG, find_table, list_images, places
from dermapair.data.cases import CaseTable, case_frame
from dermapair.errors import TableError

DIAGNOSES = ("AKIEC", "BCC", "BEN_OTH", "BKL", "DF", "INF", "MAL_OTH", "MEL", "NV", "SCCKA", "VASC")
VIEW_OF = {"clinical: close-up": "clinical", "dermoscopic": "dermoscopic"}
_METADATA = (
    "lesion_id",
    "image_type",
    "isic_id",
    "age_approx",
    "sex",
    "skin_tone_class",
    "site",
    "copyright_license",
)


def read(root: Path) -> CaseTable:
    """Return the case table of a MILK10k folder, with whichever of its parts are there."""
    parts = [part for part in ("Training", "Test") if _table(root, part, "Metadata")]
    if not parts:
        raise TableError(f"{root}: expected MILK10k_Training_Metadata.csv or MILK10k_Test_Metadata.csv there")
    frame = pl.concat([_read_part(root, part) for part in parts], how="diagonal_relaxed")
    manifest = {"adapter": "milk10k", "lesion_ids": "lesion", "skin_tone_scale": "MILK10k, 0 dark to 5 light"}
    table = CaseTable(case_frame(frame), root, DIAGNOSES, manifest)
    require_files(root, table.frame["path"])
    return table


def _read_part(root: Path, part: str) -> pl.DataFrame:
    """Return the rows of one official part."""
    path = _table(root, part, "Metadata")
    assert path is not None  # `read` asked
    frame = read_table(path, required=_METADATA)
    unknown = frame.with_row_index("row").filter(~pl.col("image_type").is_in(list(VIEW_OF)).fill_null(False))
    if len(unknown):
        row, value = unknown["row"][0] + 1, unknown["image_type"][0]
        raise TableError(f"{path}: row {row}: expected image_type {' or '.join(VIEW_OF)}, got {value!r}")
    frame = frame.with_columns(numbers(frame, "age_approx", path=path).alias("age")).drop("age_approx")
    frame = _with_truth(frame, _table(root, part, "GroundTruth"))
    frame = _with_supplement(frame, _table(root, part, "Supplement"))
    expected = pl.format(f"MILK10k_{part}_Input/{{}}/{{}}.jpg", "lesion_id", "isic_id")
    frame = frame.join(_images(root, part), on=["lesion_id", "isic_id"], how="left", maintain_order="left")
    split = None if part == "Training" else "test"
    return frame.with_columns(
        pl.col("image_type").replace_strict(VIEW_OF).alias("view"),
        pl.coalesce("path", expected).alias("path"),
        pl.lit(split, dtype=pl.String).alias("split"),
        pl.lit(split, dtype=pl.String).alias("official_split"),
        pl.lit("MILK10k").alias("source"),
    ).rename({"isic_id": "image_id", "skin_tone_class": "skin_tone", "copyright_license": "license"})


def _table(root: Path, part: str, kind: str) -> Path | None:
    """Return a part's table of this kind, where there is one."""
    return find_table(root, [f"MILK10k_{part}_{kind}.csv"], places(root, f"MILK10k_{part}_Input"))


def _images(root: Path, part: str) -> pl.DataFrame:
    """Return `lesion_id`, `isic_id` and `path` of the images in a part's folders of lesions."""
    inputs = places(root, f"MILK10k_{part}_Input")
    folders = [folder for place in inputs for folder in sorted(place.iterdir()) if folder.is_dir()]
    images = list_images(root, folders, JPEG)
    lesion = pl.col("path").str.extract(r"([^/]+)/[^/]+$")
    return images.select(lesion.alias("lesion_id"), "path", isic_id="image_id")


def _with_truth(frame: pl.DataFrame, path: Path | None) -> pl.DataFrame:
    """Join the ground truth, which a test part may lack."""
    if path is None:
        return frame.with_columns(pl.lit(None, dtype=pl.String).alias("diagnosis"))
    truth = read_table(path, required=("lesion_id", *DIAGNOSES))
    truth = truth.select("lesion_id", one_hot_label(truth, DIAGNOSES, path=path))
    doubled = truth.filter(pl.col("lesion_id").is_duplicated())
    if len(doubled):
        raise TableError(f"{path}: lesion {doubled['lesion_id'][0]!r} occurs twice; keep one row")
    joined = frame.join(truth, on="lesion_id", how="left", maintain_order="left")
    lost = truth.join(frame, on="lesion_id", how="anti")
    if len(lost) or joined["diagnosis"].has_nulls():
        one = (
            lost["lesion_id"][0]
            if len(lost)
            else joined.filter(pl.col("diagnosis").is_null())["lesion_id"][0]
        )
        raise TableError(f"{path}: lesion {one!r} is not in both this table and the metadata; complete them")
    return joined


def _with_supplement(frame: pl.DataFrame, path: Path | None) -> pl.DataFrame:
    """Join the supplement (full diagnosis, how it was confirmed) where there is one."""
    if path is None:
        return frame
    return frame.join(
        read_table(path, required=("isic_id",)), on="isic_id", how="left", maintain_order="left"
    )
