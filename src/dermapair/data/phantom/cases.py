"""One phantom lesion: who has it, what it is, its two pictures, masks and case-table rows.

Everything about lesion i depends on (seed, i) alone, so sets of any size and number of workers agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dermapair.data.phantom.canvas import Canvas, Picture, stream
from dermapair.data.phantom.clinical import draw_clinical
from dermapair.data.phantom.dermoscopic import draw_dermoscopic
from dermapair.data.phantom.skin import hairs, lay_hairs, photograph
from dermapair.data.phantom.world import CLINICAL, DERMOSCOPIC, PHANTOM, VIEWS, sample

Row = dict[str, Any]
Bytes = NDArray[np.uint8]

_DRAW = {CLINICAL: draw_clinical, DERMOSCOPIC: draw_dermoscopic}
_HAIR_PX = {CLINICAL: 1.0, DERMOSCOPIC: 1.8}
_CAMERA = {CLINICAL: (0.7, 0.016), DERMOSCOPIC: (0.5, 0.010)}  # softness in pixels, grain
_TONES = (0.17, 0.28, 0.26, 0.15, 0.09, 0.05)
_SITES = ("head_neck_face", "trunk", "upper_extremity", "lower_extremity", "hand", "foot")
_SITE_SHARES = (0.28, 0.37, 0.13, 0.19, 0.02, 0.01)
_BLOCK = 3
_GROUPS = ((0, 1, 2), (0, 0, 2), (0, 1, 1), (0, 0, 0))  # which lesions of a block share a patient
_GROUP_SHARES = (0.6, 0.15, 0.15, 0.1)
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 92]
_ROUGH_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 3]


def draw_view(canvas: Canvas, attributes: Mapping[str, str], tone: int) -> tuple[Bytes, Bytes, Bytes]:
    """Draw one view.

    Args:
        canvas: view, size and random streams.
        attributes: value by name; only those that show in this view are read.
        tone: skin tone, 1 to 6.

    Returns:
        The picture, (H, W, 3) uint8 RGB; the lesion's and the hairs' masks, (H, W) uint8, 255 inside.
    """
    picture, region = _DRAW[canvas.view](canvas, attributes, tone)
    opacity = hairs(canvas, _HAIR_PX[canvas.view])
    picture = photograph(lay_hairs(picture, canvas, opacity), canvas, *_CAMERA[canvas.view])
    return _as_bytes(picture), region.mask, np.where(opacity > 0.35, 255, 0).astype(np.uint8)


def write_lesion(out: Path, *, lesion: int, seed: int, size_px: int) -> list[Row]:
    """Draw a lesion, write its pictures and masks under `out`, and return its rows, clinical view first."""
    diagnosis, attributes = sample(PHANTOM, stream(seed, lesion, "diagnosis"))
    facts: Row = {**_patient(seed, lesion), "site": _site(seed, lesion)}
    names = {f"attribute_{name}": value for name, value in attributes.items()}
    rows = []
    for view in VIEWS:
        image_id = f"{lesion_id(lesion)}_{view}"
        paths = _write_view(
            out, image_id, Canvas(view, seed, lesion, size_px), attributes, facts["skin_tone"]
        )
        row: Row = {"image_id": image_id, "lesion_id": lesion_id(lesion), "view": view, "split": None}
        row |= {"diagnosis": diagnosis.code, "source": "phantom", "license": "CC0-1.0"}
        rows.append(row | facts | paths | names)
    return rows


def lesion_id(lesion: int) -> str:
    """Return the id of the lesion with this index."""
    return f"PH_{lesion:06d}"


def _write_view(out: Path, image_id: str, canvas: Canvas, attributes: Mapping[str, str], tone: int) -> Row:
    picture, lesion, hair = draw_view(canvas, attributes, tone)
    paths = {
        "path": f"images/{image_id}.jpg",
        "mask": f"masks/{image_id}_lesion.png",
        "hair_mask": f"masks/{image_id}_hair.png",
    }
    _write(out / paths["path"], np.ascontiguousarray(picture[..., ::-1]), _JPEG)
    _write(out / paths["mask"], lesion, _ROUGH_PNG)
    _write(out / paths["hair_mask"], hair, _ROUGH_PNG)
    return paths


def _write(path: Path, pixels: Bytes, options: list[int]) -> None:
    # Encoded in memory: cv2.imwrite reports a full disk or a missing folder by False, not by an error.
    _, data = cv2.imencode(path.suffix, pixels, options)
    path.write_bytes(data.tobytes())


def _as_bytes(picture: Picture) -> Bytes:
    return np.asarray(np.clip(picture * 255 + 0.5, 0, 255), np.uint8)


def _patient(seed: int, lesion: int) -> Row:
    """Return who has the lesion: one patient has one to three, all within one block of indices."""
    block = lesion - lesion % _BLOCK
    rng = stream(seed, block, "grouping")
    first = block + _GROUPS[rng.choice(len(_GROUPS), p=_GROUP_SHARES)][lesion % _BLOCK]
    rng = stream(seed, first, "patient")
    age, sex = int(np.clip(rng.normal(58, 17), 15, 90) // 5 * 5), str(rng.choice(["female", "male"]))
    tone = int(rng.choice(len(_TONES), p=_TONES)) + 1
    unknown = rng.uniform(size=2) < 0.03
    return {
        "patient_id": f"PP_{first:06d}",
        "age": None if unknown[0] else age,
        "sex": None if unknown[1] else sex,
        "skin_tone": tone,
    }


def _site(seed: int, lesion: int) -> str:
    return str(stream(seed, lesion, "site").choice(_SITES, p=_SITE_SHARES))
