"""A tiny copy of ISIC 2024 (SLICE-3D) in Kaggle's and the challenge page's layouts, some columns left out."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from data.adapters.fake_isic import first_cells, write_images, write_lines
from data.tables import smooth_picture

PERSON = (
    "patient_id,age_approx,sex,anatom_site_general,clin_size_long_diam_mm,image_type,tbp_tile_type,tbp_lv_A,"
    "tbp_lv_location,attribution,copyright_license"
)
_TYPE = "TBP tile: close-up,3D: XP"
PEOPLE = {
    "ISIC_0015670": f"IP_1235828,60.0,male,lower extremity,3.04,{_TYPE},20.24,Right Leg - Upper,MSKCC,CC-BY",
    "ISIC_0015845": f"IP_8170065,60.0,male,head/neck,1.1,{_TYPE},31.7,Head & Neck,MSKCC,CC-0",
    "ISIC_0015864": f"IP_6724798,,NA,,3.4,{_TYPE},22.57,Torso Back Top Third,MSKCC,CC-BY-NC",
}
TEST_PEOPLE = {
    "ISIC_0015657": f"IP_6074337,45.0,male,posterior torso,2.7,{_TYPE},22.8,Torso Back,MSKCC,CC-BY-NC",
}
SUPPLEMENT = {
    "ISIC_0015670": "Benign,,",
    "ISIC_0015845": "Malignant::Melanoma in situ,0.4,IL_6727506",
    "ISIC_0015864": "Benign,,",
}
TARGET = {"ISIC_0015670": 0, "ISIC_0015845": 1, "ISIC_0015864": 0}


def write_isic2024(root: Path, *, images: str = "folder") -> Path:
    """Write three training images and one test image in Kaggle's layout into a folder, which is returned.

    Args:
        root: folder to write.
        images: the training images as `folder` or as `hdf5`; the test image is always in an HDF5 file.
    """
    rows = [f"{i},{TARGET[i]},{PEOPLE[i]},{SUPPLEMENT[i]}" for i in PEOPLE]
    header = f"isic_id,target,{PERSON},iddx_full,mel_thick_mm,lesion_id"
    write_lines(root / "train-metadata.csv", "\n".join([header, *rows]) + "\n")
    test = "\n".join([f"isic_id,{PERSON}", *(f"{i},{rest}" for i, rest in TEST_PEOPLE.items())])
    write_lines(root / "test-metadata.csv", test + "\n")
    write_hdf5(root / "test-image.hdf5", first_cells(test))
    if images == "hdf5":
        write_hdf5(root / "train-image.hdf5", PEOPLE)
    else:
        write_images(root / "train-image" / "image", PEOPLE)
    return root


def write_challenge(root: Path) -> Path:
    """Write the training images in the challenge page's layout into a folder, which is returned."""
    truth = "".join(f"{i},{value}.0\n" for i, value in TARGET.items())
    write_lines(root / "ISIC_2024_Training_GroundTruth.csv", "isic_id,malignant\n" + truth)
    extra = "".join(f"{i},{rest}\n" for i, rest in SUPPLEMENT.items())
    write_lines(
        root / "ISIC_2024_Training_Supplement.csv", "isic_id,iddx_full,mel_thick_mm,lesion_id\n" + extra
    )
    people = "".join(f"{i},{rest}\n" for i, rest in PEOPLE.items())
    write_lines(root / "ISIC_2024_Training_Input" / "metadata.csv", f"isic_id,{PERSON}\n" + people)
    write_images(root / "ISIC_2024_Training_Input", PEOPLE)
    return root


def jpeg_bytes(seed: int) -> bytes:
    """Return the bytes of a small JPEG."""
    file = io.BytesIO()
    Image.fromarray(smooth_picture(seed, (40, 30))).save(file, "JPEG")
    return file.getvalue()


def write_hdf5(path: Path, images: Iterable[str]) -> None:
    """Write an HDF5 file with the bytes of a JPEG under each id."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for i, image in enumerate(images):
            file[image] = np.void(jpeg_bytes(i))
