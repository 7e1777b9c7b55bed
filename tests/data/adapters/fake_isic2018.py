"""A tiny copy of ISIC 2018 task 3 in its official layout, with the official column names."""

from __future__ import annotations

from pathlib import Path

from data.adapters.fake_isic import first_cells, write_images, write_lines

HEADER = "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\n"
TRUTH = {
    "Training": """ISIC_0024306,0.0,1.0,0.0,0.0,0.0,0.0,0.0
ISIC_0024307,0.0,1.0,0.0,0.0,0.0,0.0,0.0
ISIC_0024310,1.0,0.0,0.0,0.0,0.0,0.0,0.0
""",
    "Validation": "ISIC_0034321,0.0,0.0,0.0,1.0,0.0,0.0,0.0\n",
    "Test": "ISIC_0034524,0.0,0.0,0.0,0.0,0.0,0.0,1.0\n",
}
GROUPINGS = """image,lesion_id,diagnosis_confirm_type
ISIC_0024306,HAM_0000550,serial imaging showing no change
ISIC_0024307,HAM_0000550,serial imaging showing no change
ISIC_0024310,HAM_0003521,histopathology
"""


def write_isic2018(root: Path, *, truth_folders: bool = True) -> Path:
    """Write three training images of two lesions, one for validation and one for the test.

    Args:
        root: folder to write, which is returned.
        truth_folders: each truth lies in a folder of its own name, as its archive unpacks; else beside.
    """
    for part, truth in TRUTH.items():
        name = f"ISIC2018_Task3_{part}_GroundTruth"
        folder = root / name if truth_folders else root
        write_lines(folder / f"{name}.csv", HEADER + truth)
        write_images(root / f"ISIC2018_Task3_{part}_Input", first_cells(HEADER + truth))
    write_lines(root / "ISIC2018_Task3_Training_LesionGroupings.csv", GROUPINGS)
    return root
