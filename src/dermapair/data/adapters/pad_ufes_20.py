"""PAD-UFES-20: clinical photographs by smartphone, six diagnoses, with what the patients told.

Official layout: `metadata.csv`, also among the images, and `<img_id>` in `images/`, `imgs_part_1/` to `_3/`,
or those inside `images/`. Source: Pacheco et al. 2020, doi:10.17632/zr7vgbcyr2.1, CC BY 4.0. Different
patients share some lesion numbers, so `lesion_id` is patient and number. `skin_tone` is the Fitzpatrick type,
1 to 6. Every other column is kept; `UNK` is unknown. Tried on true first rows of the metadata only.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from dermapair.data.adapters.common import (
    OFFICIAL_UNKNOWN,
    numbers,
    read_table,
    refuse_unknown,
    require_files,
)
from dermapair.data.adapters.layout import find_table, list_images, places
from dermapair.data.cases import CaseTable, case_frame
from dermapair.errors import TableError

DIAGNOSES = ("ACK", "BCC", "MEL", "NEV", "SCC", "SEK")
_PARTS = ("imgs_part_1", "imgs_part_2", "imgs_part_3")
FOLDERS = ("images", *_PARTS, *(f"images/{part}" for part in _PARTS))
FITZPATRICK = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
_METADATA = ("patient_id", "lesion_id", "age", "gender", "fitspatrick", "region", "diagnostic", "img_id")


def read(root: Path) -> CaseTable:
    """Return the case table of a PAD-UFES-20 folder."""
    folders = [place for name in FOLDERS for place in places(root, name)]
    path = find_table(root, ["metadata.csv"], folders) or root / "metadata.csv"
    table = read_table(path, required=_METADATA, unknown=(*OFFICIAL_UNKNOWN, "UNK"))
    refuse_unknown(table, "diagnostic", DIAGNOSES, path=path, name="img_id")
    table = table.with_columns(pl.col("img_id").str.replace(r"(?i)\.png$", "").alias("image_id"))
    images = list_images(root, folders, [".png"])
    frame = (
        table.join(images, on="image_id", how="left", maintain_order="left")
        .with_columns(
            numbers(table, "age", path=path),
            _skin_tones(table, path),
            pl.format("{}_{}", "patient_id", "lesion_id").alias("lesion_id"),
            pl.lit("clinical").alias("view"),
            pl.coalesce("path", pl.format(f"{FOLDERS[0]}/{{}}", "img_id")).alias("path"),
            pl.lit("PAD-UFES-20").alias("source"),
            pl.lit("CC BY 4.0").alias("license"),
        )
        .rename({"diagnostic": "diagnosis", "gender": "sex", "region": "site"})
    )
    facts = {
        "adapter": "pad-ufes-20",
        "lesion_ids": "lesion",
        "skin_tone_scale": "Fitzpatrick, 1 light to 6 dark",
    }
    cases = CaseTable(case_frame(frame.drop("img_id", "fitspatrick")), root, DIAGNOSES, facts)
    require_files(root, cases.frame["path"])
    return cases


def _skin_tones(table: pl.DataFrame, path: Path) -> pl.Series:
    """Return the Fitzpatrick types as text without a decimal point.

    Raises:
        TableError: a value is not 1 to 6.
    """
    types = numbers(table, "fitspatrick", path=path)
    bad = (~types.is_in(FITZPATRICK)).fill_null(False)
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise TableError(
            f"{path}: row {row + 1} ({table['img_id'][row]}): expected a Fitzpatrick type 1 to 6 in "
            f"fitspatrick, got {table['fitspatrick'][row]!r}; correct it, or leave it empty where unknown"
        )
    return types.cast(pl.Int64).cast(pl.String).alias("skin_tone")
