"""A tiny copy of ISIC 2019 in its official layout, with the official column names."""

from __future__ import annotations

from pathlib import Path

from data.adapters.fake_isic import first_cells, write_images, write_lines

TRUTH = """image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK
ISIC_0000002,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
ISIC_0000017_downsampled,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
ISIC_0024306,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
ISIC_0024307,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0
"""
METADATA = """image,age_approx,anatom_site_general,lesion_id,sex
ISIC_0000002,60,upper extremity,,female
ISIC_0000017_downsampled,50,posterior torso,,female
ISIC_0024306,,,HAM_0000550,male
ISIC_0024307,45,anterior torso,HAM_0000550,male
"""
TEST_METADATA = """image,age_approx,anatom_site_general,sex
ISIC_0034321,60,,female
ISIC_0034322,70,anterior torso,male
"""
TEST_TRUTH = """image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK,score_weight,validation_weight
ISIC_0034321,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0
ISIC_0034322,0.0,0.0,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0
"""


def write_isic2019(root: Path, *, test_truth: bool = False) -> Path:
    """Write four training images of three lesions and two test images into a folder, which is returned."""
    write_lines(root / "ISIC_2019_Training_GroundTruth.csv", TRUTH)
    write_lines(root / "ISIC_2019_Training_Metadata.csv", METADATA)
    write_lines(root / "ISIC_2019_Test_Metadata.csv", TEST_METADATA)
    if test_truth:
        write_lines(root / "ISIC_2019_Test_GroundTruth.csv", TEST_TRUTH)
    write_images(root / "ISIC_2019_Training_Input", first_cells(TRUTH))
    write_images(root / "ISIC_2019_Test_Input", first_cells(TEST_METADATA))
    return root
