"""Phantom lesions as a case folder."""

from __future__ import annotations

import json
from pathlib import Path

from dermapair.data.adapters.phantom import draw
from dermapair.data.cases import write_cases
from dermapair.data.masks import read_mask
from dermapair.data.phantom import PHANTOM


def test_the_written_manifest_keeps_the_world_and_how_to_draw_it_again(tmp_path: Path) -> None:
    write_cases(draw(tmp_path, lesions=2, seed=3, size_px=64), tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["diagnoses"] == [d.code for d in PHANTOM.diagnoses]
    assert manifest["world"] == {
        d.code: {"name": d.name, "prior": d.prior, "cancer": d.cancer} for d in PHANTOM.diagnoses
    }
    assert manifest["phantom"] == {"lesions": 2, "seed": 3, "size_px": 64}
    assert (manifest["images"], manifest["lesions"]) == (4, 2)


def test_every_image_has_its_lesion_mask(tmp_path: Path) -> None:
    table = write_cases(draw(tmp_path, lesions=1, seed=3, size_px=64), tmp_path)
    assert table.frame["mask"].to_list() == [f"masks/{name}_lesion.png" for name in table.frame["image_id"]]
    for row in range(2):
        mask = read_mask(table, row)
        assert mask[mask.shape[0] // 2, mask.shape[1] // 2] and not mask[0, 0]
