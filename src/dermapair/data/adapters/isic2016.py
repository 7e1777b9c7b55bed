"""ISIC 2016 part 3: dermoscopic images, benign or malignant.

Official layout: `ISBI2016_ISIC_Part3_<Part>_Data/<image_id>.jpg` with
`ISBI2016_ISIC_Part3_<Part>_GroundTruth.csv`; Part is Training or Test. The tables have an image and a truth
in each row, `benign` or `malignant` in training, 0.0 or 1.0 in the test; the official files have no header,
some copies do. Source: Gutman et al. 2016, arXiv 1605.01397, CC-0. The set knows no lesions, so each image is
its own.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from dermapair.data.adapters.common import read_table, require_codes
from dermapair.data.adapters.isic import ISICSet, Part, read_set
from dermapair.data.cases import CaseTable
from dermapair.errors import TableError

DIAGNOSES = ("benign", "malignant")
_CODE_OF = {"benign": "benign", "0": "benign", "0.0": "benign"} | {
    "malignant": "malignant", "1": "malignant", "1.0": "malignant",
}  # fmt: skip


def read(root: Path) -> CaseTable:
    """Return the case table of an ISIC 2016 folder, with whichever of its parts are there."""
    return read_set(root, _SET)


def _part(name: str, split: str | None) -> Part:
    stem = f"ISBI2016_ISIC_Part3_{name}*"
    return Part(split, folders=[f"{stem}_Data"], truth=[f"{stem}_GroundTruth*.csv"])


def _truth(path: Path) -> pl.DataFrame:
    """Read a table of two columns; a first row that holds neither an ISIC id nor a truth is a header."""
    table = read_table(path, required=(), header=False)
    if table.width != 2:
        raise TableError(
            f"{path}: expected two columns, image and truth, got {table.width}; correct the table"
        )
    table = table.rename(dict(zip(table.columns, ("image_id", "truth"), strict=True)))
    first = table.row(0) if len(table) else ("", "")
    if not str(first[0]).startswith("ISIC_") and first[1] not in _CODE_OF:
        table = table.slice(1)
    require_codes(table, "truth", list(_CODE_OF), image="image_id", path=path)
    return table.select(
        "image_id", diagnosis=pl.col("truth").replace_strict(_CODE_OF, return_dtype=pl.String)
    )


_SET = ISICSet(
    "isic2016",
    parts=(_part("Training", None), _part("Test", "test")),
    diagnoses=DIAGNOSES,
    truth=_truth,
    constants={"view": "dermoscopic", "source": "ISIC 2016", "license": "CC-0"},
)
