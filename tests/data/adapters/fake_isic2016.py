"""A tiny copy of ISIC 2016 part 3 in its official layout: no header, and numbers for the test's truth."""

from __future__ import annotations

from pathlib import Path

from data.adapters.fake_isic import first_cells, write_images, write_lines

TRUTH = {
    "Training": "ISIC_0000000,benign\nISIC_0000002,malignant\nISIC_0000004,malignant\n",
    "Test": "ISIC_0000003,0.0\nISIC_0000012,1.0\n",
}


def write_isic2016(root: Path, *, header: str = "") -> Path:
    """Write three training and two test images into a folder, which is returned.

    Args:
        root: folder to write.
        header: first line of both tables; the official files have none.
    """
    for part, truth in TRUTH.items():
        stem = f"ISBI2016_ISIC_Part3_{part}"
        write_lines(root / f"{stem}_GroundTruth.csv", header + truth)
        write_images(root / f"{stem}_Data", first_cells(truth, header=False))
    return root
