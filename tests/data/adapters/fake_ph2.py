"""A tiny copy of PH2 in its official layout: both tables, images and lesion masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openpyxl

from data.tables import save, smooth_picture

HEADER = (
    "||   Name || Histological Diagnosis || Clinical Diagnosis || Asymmetry | Pigment Network | "
    "Dots/Globules | Streaks | Regression Areas | Blue-Whitish Veil ||           Colors ||"
)
CASES = (
    ("IMD003", "", 0, "0", "T", "A", "A", "A", "A", "4"),
    ("IMD020", "", 1, "1", "AT", "AT", "A", "A", "A", "3  4"),
    ("IMD061", "Melanoma", 2, "2", "AT", "AT", "P", "P", "P", "1  4  5  6"),
)
LEGEND = (
    "",
    "",
    "Legends:",
    "   Histological/Clinical Diagnosis:",
    "      0 - Common Nevus;",
    "      2 - Melanoma;",
)
SHEET_LEGEND = (
    ("Legends",),
    ("Asymmetry", "0 - Fully Symmetric, 1 - Symmetric in 1 axis, 2 - Fully Asymmetric"),
    *((None,) for _ in range(9)),
    (None, None, "Clinical Diagnosis", None, None, *(None for _ in range(6)), "Colors"),
)
SHEET_HEADER = (
    *("Image Name", "Histological Diagnosis", "Common Nevus", "Atypical Nevus", "Melanoma"),
    *("Asymmetry\n(0/1/2)", "Pigment Network\n(AT/T)", "Dots/Globules\n(A/AT/T)", "Streaks\n(A/P)"),
    *("Regression Areas\n(A/P)", "Blue-Whitish Veil\n(A/P)"),
    *("White", "Red", "Light-Brown", "Dark-Brown", "Blue-Gray", "Black"),
)


def write_ph2(root: Path) -> Path:
    """Write three images of 40 x 30 pixels with their masks and both tables, and return the folder."""
    mask = np.zeros((30, 40), dtype=np.uint8)
    mask[10:20, 12:28] = 255
    for i, (name, *_) in enumerate(CASES):
        folder = root / "PH2 Dataset images" / name
        save(folder / f"{name}_Dermoscopic_Image" / f"{name}.bmp", smooth_picture(i, (40, 30)))
        save(folder / f"{name}_lesion" / f"{name}_lesion.bmp", mask)
    (root / "PH2_dataset.txt").write_text("\n".join([HEADER, *map(_line, CASES), *LEGEND]) + "\n", "utf-8")
    book = openpyxl.Workbook()
    for row in (*SHEET_LEGEND, SHEET_HEADER, *map(_marked, CASES)):
        book.active.append(row)
    book.save(root / "PH2_dataset.xlsx")
    return root


def _line(case: tuple[str | int, ...]) -> str:
    name, histology, clinical, *criteria, colors = case
    middle = " | ".join(f"{value:>15}" for value in criteria)
    return f"|| {name} || {histology:>22} || {clinical:>18} || {middle} || {colors:>16} ||"


def _marked(case: tuple[str | int, ...]) -> list[str | int | None]:
    name, histology, clinical, asymmetry, *criteria, colors = case
    marks = ["X" if clinical == code else None for code in range(3)]
    codes = str(colors).split()
    shades = ["X" if str(code) in codes else None for code in range(1, 7)]
    return [name, histology or None, *marks, int(asymmetry), *criteria, *shades]
