"""The ISIC 2019 adapter, on a tiny copy of its layout and on the first rows of the official tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.adapters.fake_isic2019 import write_isic2019
from dermapair.data.adapters import import_cases
from dermapair.errors import TableError

METADATA = "ISIC_2019_Training_Metadata.csv"


def test_rows_have_lesion_diagnosis_and_metadata(tmp_path: Path) -> None:
    table = import_cases("isic2019", write_isic2019(tmp_path))
    columns = ("image_id", "lesion_id", "diagnosis", "split", "age", "sex", "site")
    assert table.frame.select(columns).rows() == [
        ("ISIC_0000002", "ISIC_0000002", "MEL", None, 60.0, "female", "upper extremity"),
        (
            "ISIC_0000017_downsampled",
            "ISIC_0000017_downsampled",
            "NV",
            None,
            50.0,
            "female",
            "posterior torso",
        ),
        ("ISIC_0024306", "HAM_0000550", "NV", None, None, "male", None),
        ("ISIC_0024307", "HAM_0000550", "NV", None, 45.0, "male", "anterior torso"),
        ("ISIC_0034321", "ISIC_0034321", None, "test", 60.0, "female", None),
        ("ISIC_0034322", "ISIC_0034322", None, "test", 70.0, "male", "anterior torso"),
    ]
    assert table.manifest["lesion_ids"] == "lesion"


def test_unk_is_a_diagnosis_of_the_set_with_and_without_a_case(tmp_path: Path) -> None:
    known = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")
    assert import_cases("isic2019", write_isic2019(tmp_path / "a")).diagnoses == known
    frame = import_cases("isic2019", write_isic2019(tmp_path / "b", test_truth=True)).frame
    assert frame["diagnosis"].to_list()[4:] == ["UNK", "AK"]
    assert frame.select("score_weight", "validation_weight").rows()[3:] == [
        (None, None),
        (1.0, 0.0),
        (0.0, 1.0),
    ]


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (",60,", ",old,", "row 1: expected a number in age_approx, got 'old'"),
        ("sex", "gender", "lacks .* sex"),
    ],
)
def test_bad_metadata_is_refused(tmp_path: Path, old: str, new: str, match: str) -> None:
    path = write_isic2019(tmp_path) / METADATA
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(TableError, match=match):
        import_cases("isic2019", tmp_path)


def test_the_first_rows_of_the_official_tables_are_read(shared: Path, tmp_path: Path) -> None:
    for path in (shared / "data" / "formats" / "isic2019").iterdir():
        text = path.read_text()
        (tmp_path / path.name).write_text(text)
        folder = tmp_path / f"ISIC_2019_{path.name.split('_')[2]}_Input"
        folder.mkdir(exist_ok=True)
        for line in text.splitlines()[1:]:
            (folder / f"{line.split(',')[0]}.jpg").touch()
    frame = import_cases("isic2019", tmp_path).frame
    counts = frame.group_by("split", "diagnosis").len().sort("split", "diagnosis").rows()
    assert counts == [(None, "MEL", 54), (None, "NV", 146), ("test", None, 200)]
    assert frame["age"].count() == 326
