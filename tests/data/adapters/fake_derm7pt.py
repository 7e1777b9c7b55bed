"""A tiny copy of derm7pt in its official layout, with the official column names."""

from __future__ import annotations

from pathlib import Path

from data.tables import save, smooth_picture

META = """case_num,diagnosis,seven_point_score,pigment_network,streaks,pigmentation,regression_structures,\
dots_and_globules,blue_whitish_veil,vascular_structures,level_of_diagnostic_difficulty,elevation,location,sex,\
management,clinic,derm,case_id,notes
1,basal cell carcinoma,0,absent,absent,absent,absent,absent,absent,arborizing,medium,nodular,head neck,male,\
excision,NEL/NEL025.JPG,NEL/Nel026.jpg,,
3,clark nevus,2,typical,absent,absent,absent,irregular,absent,absent,low,flat,back,female,\
no further examination,NHL/Nhl030.jpg,NHL/Nhl032.jpg,,
8,melanoma (in situ),4,atypical,irregular,absent,blue areas,absent,absent,absent,high,palpable,arm,female,\
excision,,FAL/Fal012.jpg,A12,"seen twice, no photograph"
9,vascular lesion,0,absent,absent,absent,absent,absent,absent,absent,low,nodular,arm,female,\
excision,NHL/Nhl030.jpg,FAL/Fal018.jpg,A13,
"""
INDEXES = {"train": (0, 2), "valid": (3,), "test": (1,)}


def write_derm7pt(root: Path) -> Path:
    """Write four cases into a folder, which is returned.

    Case 8 has no clinical image; cases 3 (test) and 9 (validation) have the same one.
    """
    files = [cell for cell in META.replace("\n", ",").split(",") if cell.lower().endswith(".jpg")]
    for i, file in enumerate(dict.fromkeys(files)):
        save(root / "images" / file, smooth_picture(i, (40, 30)))
    (root / "meta").mkdir()
    (root / "meta" / "meta.csv").write_text(META, encoding="utf-8")
    for part, rows in INDEXES.items():
        text = "\n".join(["indexes", *map(str, rows)]) + "\n"
        (root / "meta" / f"{part}_indexes.csv").write_text(text, encoding="utf-8")
    return root
