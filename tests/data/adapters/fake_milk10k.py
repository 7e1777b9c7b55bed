"""A tiny copy of MILK10k in its official layout, with the official column names."""

from __future__ import annotations

from pathlib import Path

from data.tables import save, smooth_picture

METADATA = (
    "lesion_id,image_type,isic_id,attribution,copyright_license,image_manipulation,age_approx,sex,"
    "skin_tone_class,site,MONET_ulceration_crust,MONET_hair,MONET_vasculature_vessels,MONET_erythema,"
    "MONET_pigmented,MONET_gel_water_drop_fluid_dermoscopy_liquid,MONET_skin_markings_pen_ink_purple_pen"
)
TRUTH = "lesion_id,AKIEC,BCC,BEN_OTH,BKL,DF,INF,MAL_OTH,MEL,NV,SCCKA,VASC"
SUPPLEMENT = "isic_id,diagnosis_full,diagnosis_confirm_type,invasion_thickness_interval"
PEOPLE = {
    "IL_0000001": ("70", "male", "1", "head_neck_face"),
    "IL_0000002": ("", "female", "0", ""),
    "IL_0000003": ("45", "", "3", "trunk"),
    "IL_0000004": ("30", "male", "2", "foot"),
}
LABEL = {"IL_0000001": "BCC", "IL_0000002": "MEL", "IL_0000003": "NV"}
TEST = ("IL_0000004",)
VIEWS = ("clinical: close-up", "dermoscopic")


def write_milk10k(root: Path) -> Path:
    """Write three training lesions and one test lesion without truth, and return the folder."""
    _write_part(root, "Training", tuple(LABEL))
    _write_part(root, "Test", TEST)
    _lines(root / "MILK10k_Training_GroundTruth.csv", [TRUTH, *(_truth(lesion) for lesion in LABEL)])
    # The supplement is ordered by image, not as the metadata.
    images = sorted(isic_id(lesion, view) for lesion in LABEL for view in VIEWS)
    full = [f'{image},"Nevus, {image}",histopathology,' for image in images]
    _lines(root / "MILK10k_Training_Supplement.csv", [SUPPLEMENT, *full])
    return root


def isic_id(lesion: str, view: str) -> str:
    """Return the id of a lesion's image; clinical ones sort last."""
    return f"ISIC_{9 - VIEWS.index(view)}{lesion[-6:]}"


def _write_part(root: Path, part: str, lesions: tuple[str, ...]) -> None:
    rows = [METADATA]
    for lesion in lesions:
        for view in VIEWS:
            image, person = isic_id(lesion, view), ",".join(PEOPLE[lesion])
            rows.append(f"{lesion},{view},{image},MILK study team,CC-BY-NC,altered,{person}" + ",0.25" * 7)
            pixels = smooth_picture(int(image[5:]), (40, 30))
            save(root / f"MILK10k_{part}_Input" / lesion / f"{image}.jpg", pixels)
    _lines(root / f"MILK10k_{part}_Metadata.csv", rows)


def _truth(lesion: str) -> str:
    return ",".join([lesion, *(f"{float(LABEL[lesion] == name)}" for name in TRUTH.split(",")[1:])])


def _lines(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
