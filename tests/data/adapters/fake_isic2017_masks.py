"""A tiny copy of the ISIC 2017 images with lesion masks, in the true layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data.tables import save, smooth_picture

LABELS = """image_id,isic2017_split,isic2017_label,isic2019_label
ISIC_0000000,train,nevus,NV
ISIC_0000013,train,melanoma,MEL
ISIC_0001769,val,seborrheic_keratosis,BKL
"""


def write_isic2017_masks(root: Path) -> Path:
    """Write three images of 40 x 40 pixels, each with a lesion in its middle, and return the folder."""
    mask = np.zeros((40, 40), dtype=np.uint8)
    mask[10:30, 12:28] = 255
    for i, line in enumerate(LABELS.splitlines()[1:]):
        image = line.split(",")[0]
        save(root / "images" / f"{image}.jpg", smooth_picture(i, (40, 40)))
        save(root / "masks" / f"{image}_segmentation.png", mask)
    (root / "labels.csv").write_text(LABELS, encoding="utf-8")
    return root
