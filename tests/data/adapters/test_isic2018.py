"""The ISIC 2018 adapter, on a tiny copy of the official layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.adapters.fake_isic2018 import write_isic2018
from dermapair.data.adapters import import_cases
from dermapair.errors import TableError


@pytest.mark.parametrize("truth_folders", [True, False], ids=["in folders", "beside"])
def test_official_splits_lesions_and_how_they_were_confirmed(tmp_path: Path, truth_folders: bool) -> None:
    table = import_cases("isic2018", write_isic2018(tmp_path, truth_folders=truth_folders))
    columns = ("image_id", "lesion_id", "diagnosis", "split", "diagnosis_confirm_type")
    assert table.frame.select(columns).rows() == [
        ("ISIC_0024306", "HAM_0000550", "NV", "train", "serial imaging showing no change"),
        ("ISIC_0024307", "HAM_0000550", "NV", "train", "serial imaging showing no change"),
        ("ISIC_0024310", "HAM_0003521", "MEL", "train", "histopathology"),
        ("ISIC_0034321", "ISIC_0034321", "AKIEC", "val", None),
        ("ISIC_0034524", "ISIC_0034524", "VASC", "test", None),
    ]
    assert table.frame["official_split"].to_list() == table.frame["split"].to_list()
    assert table.manifest["lesion_ids"] == "lesion"
    assert table.diagnoses == ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")


def test_without_groupings_each_image_is_its_own_lesion_and_the_manifest_says_so(tmp_path: Path) -> None:
    (write_isic2018(tmp_path) / "ISIC2018_Task3_Training_LesionGroupings.csv").unlink()
    table = import_cases("isic2018", tmp_path)
    assert table.frame["lesion_id"].to_list() == table.frame["image_id"].to_list()
    assert table.manifest["lesion_ids"] == "image"


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("ISIC_0024310,1.0,0.0", "ISIC_0024310,1.0,1.0", r"row 3 \(ISIC_0024310\).* exactly one 1"),
        ("ISIC_0024310,1.0,0.0", "ISIC_0024310,0.0,0.0", r"row 3 \(ISIC_0024310\).* exactly one 1"),
        ("AKIEC", "AK", "lacks the columns AKIEC"),
    ],
)
def test_a_bad_table_is_refused(tmp_path: Path, old: str, new: str, match: str) -> None:
    path = write_isic2018(tmp_path, truth_folders=False) / "ISIC2018_Task3_Training_GroundTruth.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(TableError, match=match):
        import_cases("isic2018", tmp_path)
