"""A tiny copy of PAD-UFES-20 in its official layout, with the official column names."""

from __future__ import annotations

from pathlib import Path

from data.tables import save, smooth_picture

METADATA = """patient_id,lesion_id,smoke,drink,background_father,background_mother,age,pesticide,gender,\
skin_cancer_history,cancer_history,has_piped_water,has_sewage_system,fitspatrick,region,diameter_1,diameter_2,\
diagnostic,itch,grew,hurt,changed,bleed,elevation,img_id,biopsed
PAT_7,12,False,True,ITALY,UNK,55,False,FEMALE,True,True,True,True,3.0,NECK,6.0,5.0,BCC,True,UNK,False,True,True,\
True,PAT_7_12_939.png,True
PAT_7,12,False,True,ITALY,UNK,55,False,FEMALE,True,True,True,True,3.0,NECK,6.0,5.0,BCC,True,UNK,False,True,True,\
True,PAT_7_12_940.png,True
PAT_8,12,,,,,77,,,,,,,,FACE,,,ACK,True,False,False,False,False,False,PAT_8_12_547.png,False
PAT_9,30,,,,,8,,,,,,,,ARM,,,NEV,False,False,False,False,False,False,PAT_9_30_530.png,False
"""


def write_pad_ufes_20(root: Path, *folders: str) -> Path:
    """Write four images of three lesions of three patients, in turn into the folders, and return the root."""
    images = [cell for cell in METADATA.replace("\n", ",").split(",") if cell.endswith(".png")]
    for i, image in enumerate(images):
        save(root / folders[i % len(folders)] / image, smooth_picture(i, (40, 30)))
    (root / "metadata.csv").write_text(METADATA, encoding="utf-8")
    return root
