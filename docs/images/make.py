"""Draw the README's picture: five phantom lesions, the clinical photograph above the dermoscopic image.

python docs/images/make.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from dermapair.data.phantom import generate
from dermapair.types import VIEWS

SHOWN = ("melanoma", "bcc", "seborrheic_keratosis", "blue_naevus", "hemangioma")
GAP_PX = 6


def main() -> None:
    """Draw lesions until each diagnosis was seen once."""
    with tempfile.TemporaryDirectory() as folder:
        rows, _ = generate(Path(folder), lesions=120, seed=3, size_px=192)
        columns = []
        for diagnosis in SHOWN:
            lesion = next(row["lesion_id"] for row in rows if row["diagnosis"] == diagnosis)
            of = {row["view"]: row["path"] for row in rows if row["lesion_id"] == lesion}
            pictures = [np.asarray(Image.open(Path(folder) / of[view])) for view in VIEWS]
            columns.append(
                np.vstack(
                    [np.pad(p, ((0, GAP_PX), (0, GAP_PX), (0, 0)), constant_values=255) for p in pictures]
                )
            )
        Image.fromarray(np.hstack(columns)).save(Path(__file__).with_name("phantoms.jpg"), quality=88)


if __name__ == "__main__":
    main()
