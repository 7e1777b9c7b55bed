"""A tiny copy of ISIC 2017 part 3 in its official layout, with the official column names."""

from __future__ import annotations

from pathlib import Path

from data.tables import save, smooth_picture

TRUTH = "image_id,melanoma,seborrheic_keratosis"
METADATA = "image_id,age_approximate,sex"
PARTS = {
    "Training": {"ISIC_0000000": "0.0,0.0", "ISIC_0000002": "1.0,0.0", "ISIC_0000003": "0.0,1.0"},
    "Validation": {"ISIC_0001769": "0.0,0.0"},
    "Test_v2": {"ISIC_0012086": "", "ISIC_0012092": ""},
}
PEOPLE = {"ISIC_0000000": "55,female", "ISIC_0000002": "unknown,unknown", "ISIC_0001769": "15,male"}


def write_isic2017(root: Path, *, metadata_inside: bool = False) -> Path:
    """Write three training images, one for validation and two test images without truth.

    Args:
        root: folder to write, which is returned.
        metadata_inside: the tables of age and sex lie in the image folders, as they do after unpacking.
    """
    for part, truths in PARTS.items():
        folder = root / f"ISIC-2017_{part}_Data"
        for image in truths:
            save(folder / f"{image}.jpg", smooth_picture(int(image[5:]), (40, 30)))
        save(folder / f"{min(truths)}_superpixels.png", smooth_picture(0, (40, 30)))
        known = [f"{image},{PEOPLE[image]}" for image in truths if image in PEOPLE]
        place = folder if metadata_inside else root
        _lines(place / f"ISIC-2017_{part}_Data_metadata.csv", [METADATA, *known])
        if all(truths.values()):
            lines = [f"{image},{truth}" for image, truth in truths.items()]
            _lines(root / f"ISIC-2017_{part}_Part3_GroundTruth.csv", [TRUTH, *lines])
    return root


def _lines(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
