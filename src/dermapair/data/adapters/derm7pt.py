"""derm7pt (the seven-point checklist set): pairs of a clinical and a dermoscopic image, 20 diagnoses.

Official layout: `meta/meta.csv` with a row per case, `meta/{train,valid,test}_indexes.csv` with the numbers
of its rows from 0, and `images/`; an archive may have all of it under `release_v0/`. Source: Kawahara et al.
2019, doi:10.1109/JBHI.2018.2824327, CC BY-NC-ND 4.0. No patient ids exist. The seven criteria and every other
column are kept. Written after the publication and its reference loader, not yet tried on the real set.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from dermapair.data.adapters.common import numbers, read_table, refuse_unknown, require_files
from dermapair.data.cases import CaseTable, case_frame, check_cases
from dermapair.errors import TableError

GROUPS: dict[str, tuple[str, ...]] = {
    "BCC": ("basal cell carcinoma",),
    "NEV": (
        "blue nevus",
        "clark nevus",
        "combined nevus",
        "congenital nevus",
        "dermal nevus",
        "recurrent nevus",
        "reed or spitz nevus",
    ),
    "MEL": (
        "melanoma",
        "melanoma (in situ)",
        "melanoma (less than 0.76 mm)",
        "melanoma (0.76 to 1.5 mm)",
        "melanoma (more than 1.5 mm)",
        "melanoma metastasis",
    ),
    "MISC": ("dermatofibroma", "lentigo", "melanosis", "miscellaneous", "vascular lesion"),
    "SK": ("seborrheic keratosis",),
}
"""The five groups of the paper -> the set's own diagnoses."""
DIAGNOSES = tuple(diagnosis for members in GROUPS.values() for diagnosis in members)
VIEW_OF = {"clinic": "clinical", "derm": "dermoscopic"}
SPLIT_OF = {"train": "train", "valid": "val", "test": "test"}
_META = ("case_num", "diagnosis", "seven_point_score", "clinic", "derm", "location", "sex")


def read(root: Path) -> CaseTable:
    """Return the case table of a derm7pt folder.

    The images of case 7 are `7_clinical` and `7_dermoscopic`, as one file may serve several cases.
    """
    bases = [base for base in (root, root / "release_v0") if (base / "meta" / "meta.csv").is_file()]
    if not bases:
        raise TableError(
            f"{root}: expected meta/meta.csv or release_v0/meta/meta.csv there; check the folder"
        )
    base = bases[0]
    cases = _with_splits(_read_cases(base / "meta" / "meta.csv"), base / "meta")
    frame = _images_of(cases)
    table = case_frame(frame.drop("row"))
    rows = (frame["row"] + 1).to_list()
    check_cases(table, DIAGNOSES, where=str(base / "meta" / "meta.csv"), rows=rows)
    require_files(base, table["path"].unique(maintain_order=True))
    facts = {"adapter": "derm7pt", "lesion_ids": "lesion", "notes": _notes(table)}
    return CaseTable(table, base, DIAGNOSES, facts)


def _read_cases(path: Path) -> pl.DataFrame:
    """Return the rows of `meta.csv` with their group, numbered from 0 in `row`."""
    meta = read_table(path, required=_META)
    refuse_unknown(meta, "diagnosis", DIAGNOSES, path=path, name="case_num")
    group_of = {diagnosis: group for group, members in GROUPS.items() for diagnosis in members}
    cases = meta.with_row_index("row").with_columns(
        numbers(meta, "seven_point_score", path=path),
        pl.col("diagnosis").replace_strict(group_of).alias("diagnosis_group"),
    )
    empty = cases.filter(pl.all_horizontal(pl.col("clinic", "derm").is_null()))
    if len(empty):
        raise TableError(
            f"{path}: row {empty['row'][0] + 1} (case {empty['case_num'][0]}): expected a file in clinic or "
            f"derm, both are empty; add one or remove the row"
        )
    return cases


def _with_splits(cases: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """Join the official splits; a case that no index file names has none."""
    parts = pl.concat([_part(folder / f"{name}_indexes.csv", split) for name, split in SPLIT_OF.items()])
    bad = parts.filter(
        pl.col("row").is_null() | pl.col("row").is_duplicated() | (pl.col("row") >= len(cases))
    )
    if len(bad):
        raise TableError(
            f"{folder / bad['file'][0]}: row {bad['line'][0]}: expected the number of a row of meta.csv, "
            f"0 to {len(cases) - 1}, that no other row of the index files names, got "
            f"{bad['indexes'][0]!r}; correct it"
        )
    splits = parts.select("row", "split", official_split="split")
    return cases.join(splits, on="row", how="left", maintain_order="left")


def _part(path: Path, split: str) -> pl.DataFrame:
    """Return one index file; `row` is null where a value is no number."""
    index = read_table(path, required=("indexes",)).select("indexes").with_row_index("line", offset=1)
    return index.with_columns(
        pl.col("indexes").cast(pl.UInt32, strict=False).alias("row"),
        pl.lit(path.name).alias("file"),
        pl.lit(split).alias("split"),
    )


def _images_of(cases: pl.DataFrame) -> pl.DataFrame:
    """Return a row per image; an empty cell is a missing view."""
    views = [
        cases.with_columns(pl.lit(view).alias("view"), pl.format("images/{}", column).alias("path"))
        for column, view in VIEW_OF.items()
    ]
    images = pl.concat(views).filter(pl.col("path").is_not_null()).sort("row", maintain_order=True)
    return (
        images.with_columns(
            pl.col("case_num").alias("lesion_id"),
            pl.format("{}_{}", "case_num", "view").alias("image_id"),
            pl.lit("derm7pt").alias("source"),
            pl.lit("CC BY-NC-ND 4.0").alias("license"),
        )
        .rename({"location": "site"})
        .drop(*VIEW_OF)
    )


def _notes(table: pl.DataFrame) -> list[str]:
    """Return what a user must know of files that serve several cases, above all in different parts."""
    files = table.group_by("path").agg(
        pl.col("lesion_id").n_unique(), pl.col("split").drop_nulls().n_unique()
    )
    shared = files.filter(pl.col("lesion_id") > 1)
    apart = len(shared.filter(pl.col("split") > 1))
    notes = [f"images that serve several cases: {len(shared)}"] if len(shared) else []
    if apart:
        notes.append(f"images that serve cases of different official splits, which leaks answers: {apart}")
    return notes
