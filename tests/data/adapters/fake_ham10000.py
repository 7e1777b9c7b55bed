"""A tiny copy of HAM10000 in its official layout, with the official column names."""

from __future__ import annotations

from pathlib import Path

from data.tables import save, smooth_picture

METADATA = """lesion_id,image_id,dx,dx_type,age,sex,localization
HAM_0000118,ISIC_0027419,bkl,histo,80.0,male,scalp
HAM_0000118,ISIC_0025030,bkl,histo,80.0,male,scalp
HAM_0002730,ISIC_0026769,nv,follow_up,,unknown,unknown
HAM_0001466,ISIC_0031633,mel,histo,75.0,female,ear
"""


def write_ham10000(root: Path, *, parts: bool = True, ending: str = ".csv") -> Path:
    """Write four images of three lesions into a folder, which is returned.

    Args:
        root: folder to write.
        parts: the two image folders of the Dataverse; else one.
        ending: of the metadata's name.
    """
    root.mkdir(parents=True, exist_ok=True)
    for i, line in enumerate(METADATA.splitlines()[1:]):
        folder = f"HAM10000_images_part_{1 + i % 2}" if parts else "HAM10000_images"
        save(root / folder / f"{line.split(',')[1]}.jpg", smooth_picture(i, (40, 30)))
    (root / f"HAM10000_metadata{ending}").write_text(METADATA, encoding="utf-8")
    return root
