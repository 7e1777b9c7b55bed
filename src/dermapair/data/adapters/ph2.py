"""PH2: 200 dermoscopic images of nevi and melanomas, each with a lesion mask.

Official layout: `PH2_dataset.txt` or `PH2_dataset.xlsx`, which hold the same, and for each image
`PH2 Dataset images/IMD002/` with `IMD002_Dermoscopic_Image/IMD002.bmp` and `IMD002_lesion/IMD002_lesion.bmp`;
an archive may have all of it under `PH2Dataset/`. Source: Mendonça et al. 2013,
doi:10.1109/EMBC.2013.6610779, for research and education. The text is read where it is there, as it needs no
further package. `diagnosis` is the clinical one, which every image has; the histological one and the criteria
are kept. The set knows no lesions, so each image is its own. Written after the publication and public code
that reads the set, not yet tried on the real set.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import polars as pl

from dermapair.data.adapters.common import refuse_unknown, require_files
from dermapair.data.cases import MASK, CaseTable, case_frame
from dermapair.errors import MissingExtraError, TableError

DIAGNOSES = ("common_nevus", "atypical_nevus", "melanoma")
"""In the order of the set's codes 0 to 2."""
COLORS = ("white", "red", "light_brown", "dark_brown", "blue_gray", "black")
"""In the order of the set's codes 1 to 6."""
KEPT = (
    "histological_diagnosis",
    "asymmetry",
    "pigment_network",
    "dots_globules",
    "streaks",
    "regression_areas",
    "blue_whitish_veil",
)
"""Extra columns, besides `colors` (codes, such as `3 4`), as the set writes them."""
TABLES = ("PH2_dataset.txt", "PH2_dataset.xlsx")

Rows = Sequence[Sequence[str | None]]


def read(root: Path) -> CaseTable:
    """Return the case table of a PH2 folder."""
    bases = (root, root / "PH2Dataset")
    path = next((base / name for base in bases for name in TABLES if (base / name).is_file()), None)
    if path is None:
        raise TableError(f"{root}: expected {' or '.join(TABLES)} there; check the folder")
    table = _from_text(path) if path.suffix == ".txt" else _from_xlsx(path)
    name = pl.col("image_id")
    frame = table.with_columns(
        name.alias("lesion_id"),
        pl.lit("dermoscopic").alias("view"),
        pl.format("PH2 Dataset images/{}/{}_Dermoscopic_Image/{}.bmp", name, name, name).alias("path"),
        pl.format("PH2 Dataset images/{}/{}_lesion/{}_lesion.bmp", name, name, name).alias(MASK),
        pl.lit("PH2").alias("source"),
        pl.lit("research and education").alias("license"),
    )
    facts = {"adapter": "ph2", "lesion_ids": "image"}
    cases = CaseTable(case_frame(frame), path.parent, DIAGNOSES, facts)
    require_files(path.parent, [*cases.frame["path"], *cases.frame[MASK]])
    return cases


def _from_text(path: Path) -> pl.DataFrame:
    """Read the table of which every line starts with a pipe; the legend below it has none."""
    lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).splitlines()
    try:
        table = [_cells(line.decode("utf-8")) for line in lines if line.startswith(b"|")]
    except UnicodeDecodeError as error:
        raise TableError(f"{path}: expected a table in UTF-8, but {error}; save it as UTF-8") from error
    frame = _frame(table, ("name", "clinical_diagnosis", *KEPT, "colors"), path=path)
    codes = [str(code) for code in range(len(DIAGNOSES))]
    refuse_unknown(frame, "clinical_diagnosis", codes, path=path, name="name")
    return frame.select(
        pl.col("name").alias("image_id"),
        pl.col("clinical_diagnosis").replace_strict(codes, DIAGNOSES).alias("diagnosis"),
        *KEPT,
        pl.col("colors").str.replace_all(r"\s+", " "),
    )


def _cells(line: str) -> list[str | None]:
    """Return the cells of `|| a || b | c ||`; an empty one is None."""
    inner = line.strip().removeprefix("||").removesuffix("||")
    return [cell.strip() or None for cell in re.split(r"\|\|?", inner)]


def _from_xlsx(path: Path) -> pl.DataFrame:
    """Read the sheet, in which X marks the diagnosis and the colours; its header stands below a legend."""
    rows = _sheet(path)
    start = next((i for i, row in enumerate(rows) if "image_name" in map(_name, row)), len(rows))
    frame = _frame(rows[start:], ("image_name", *DIAGNOSES, *KEPT, *COLORS), path=path)
    marks = frame.select(pl.col(*DIAGNOSES, *COLORS).str.to_uppercase().fill_null(""))
    strange = marks.select(~pl.all_horizontal(pl.all().is_in(["X", ""]))).to_series()
    ones = marks.select(pl.sum_horizontal(pl.col(DIAGNOSES) == "X")).to_series()
    bad = strange | (ones != 1)
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise TableError(
            f"{path}: row {row + 1} ({frame['image_name'][row]}): expected X or nothing in the columns "
            f"{', '.join(marks.columns)} and one X in the first three, got "
            f"{', '.join(value or 'nothing' for value in marks.row(row))}; correct the row"
        )
    diagnosis = pl.coalesce(pl.when(marks[name] == "X").then(pl.lit(name)) for name in DIAGNOSES)
    codes = [pl.when(marks[color] == "X").then(pl.lit(str(code))) for code, color in enumerate(COLORS, 1)]
    return frame.select(
        pl.col("image_name").alias("image_id"),
        diagnosis.alias("diagnosis"),
        *KEPT,
        pl.concat_str(codes, separator=" ", ignore_nulls=True).alias("colors"),
    )


def _sheet(path: Path) -> Rows:
    """Return the rows of the first sheet that are not empty, every value as text.

    Raises:
        MissingExtraError: openpyxl is not installed.
        TableError: it is no workbook.
    """
    try:
        import openpyxl
    except ImportError:
        raise MissingExtraError(
            f"{path}: expected the package openpyxl, which reads it, but it is not installed; run "
            f"`pip install 'dermapair[sets]'`, or put PH2_dataset.txt beside it"
        ) from None
    try:
        sheet = openpyxl.load_workbook(path, data_only=True).worksheets[0]
    except (BadZipFile, OSError, KeyError, ValueError, TypeError, SyntaxError) as error:
        raise TableError(f"{path}: expected an Excel workbook, but {error}; fetch it again") from error
    rows = [[_text(value) for value in row] for row in sheet.iter_rows(values_only=True)]
    return [row for row in rows if any(row)]


def _text(value: object) -> str | None:
    """Return the value of a cell as text; whole numbers have no decimal point."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return None if value is None else str(value).strip() or None


def _name(header: str | None) -> str:
    """Return a header as a column name: `Dots/Globules (A/AT/T)` is `dots_globules`."""
    return re.sub(r"[^a-z0-9]+", "_", (header or "").split("(")[0].lower()).strip("_")


def _frame(table: Rows, wanted: Sequence[str], *, path: Path) -> pl.DataFrame:
    """Return the wanted columns of a header and its rows, as text.

    Raises:
        TableError: there is no header, a column is missing, or a row has too few or too many cells.
    """
    header = [_name(cell) for cell in table[0]] if table else []
    missing = [name for name in wanted if name not in header]
    if missing:
        raise TableError(f"{path}: lacks the columns {', '.join(missing)}; fetch the official table again")
    for row, cells in enumerate(table[1:], start=1):
        if len(cells) != len(header):
            raise TableError(
                f"{path}: row {row} ({cells[0]}): expected {len(header)} cells as in the header, got "
                f"{len(cells)}; correct it"
            )
    at = [header.index(name) for name in wanted]
    rows = [[cells[i] for i in at] for cells in table[1:]]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(wanted, pl.String), orient="row")
    bad = frame.with_row_index("row").filter(~pl.col(wanted[0]).str.contains(r"^IMD\d+$").fill_null(False))
    if len(bad):
        raise TableError(
            f"{path}: row {bad['row'][0] + 1}: expected the name of an image, such as IMD002, got "
            f"{bad[wanted[0]][0]!r}; correct it"
        )
    return frame
