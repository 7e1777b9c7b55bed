"""A tiny copy of ISIC 2020 in its official layouts, with the official column names."""

from __future__ import annotations

from pathlib import Path

from data.adapters.fake_isic import first_cells, write_images, write_lines

COLUMNS = "sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target\n"
PEOPLE = {
    "ISIC_2637011": ("IP_7279968", "IL_7972535", "male,45,head/neck,unknown,benign,0"),
    "ISIC_0052212": ("IP_2842074", "IL_9087444", "female,50,lower extremity,nevus,benign,0"),
    "ISIC_0149568": ("IP_0962375", "IL_6540984", "female,55,upper extremity,melanoma,malignant,1"),
    "ISIC_9022005": ("IP_0962375", "IL_6540985", "female,55,upper extremity,melanoma,malignant,1"),
    "ISIC_0074268": ("IP_8723313", "IL_6898037", "unknown,,,unknown,benign,0"),
}
DUPLICATES = "image_name_1,image_name_2\nISIC_0149568,ISIC_9022005\nISIC_0000001,ISIC_0000002\n"
TEST = """image,patient,age_approx,anatom_site_general,sex
ISIC_0052060,IP_3579794,70.0,,male
ISIC_0052349,IP_7782715,40.0,lower extremity,male
"""
KAGGLE_TEST = TEST.replace(
    "image,patient,age_approx,anatom_site_general",
    "image_name,patient_id,age_approx,anatom_site_general_challenge",
)


def training_table(version: int) -> str:
    """Return the official training table; the first version has no lesion ids."""
    ids = "image_name,patient_id," + ("lesion_id," if version == 2 else "")
    rows = [
        ",".join([image, patient, *([lesion] if version == 2 else []), rest])
        for image, (patient, lesion, rest) in PEOPLE.items()
    ]
    return "\n".join([ids + COLUMNS.strip(), *rows]) + "\n"


def write_isic2020(
    root: Path, *, train: str = "ISIC_2020_Training_JPEG/train", version: int = 2, kaggle: bool = False
) -> Path:
    """Write five training images, of which two are duplicates, and two test images.

    Args:
        root: folder to write, which is returned.
        train: folder of the training images.
        version: of the training table.
        kaggle: the tables and the test folder have Kaggle's names.
    """
    name = f"ISIC_2020_Training_GroundTruth{'_v2' if version == 2 else ''}.csv"
    write_lines(root / ("train.csv" if kaggle else name), training_table(1 if kaggle else version))
    write_lines(
        root / ("test.csv" if kaggle else "ISIC_2020_Test_Metadata.csv"), KAGGLE_TEST if kaggle else TEST
    )
    write_lines(root / "ISIC_2020_Training_Duplicates.csv", DUPLICATES)
    write_images(root / train, PEOPLE)
    write_images(root / ("jpeg/test" if kaggle else "ISIC_2020_Test_Input"), first_cells(TEST))
    return root
