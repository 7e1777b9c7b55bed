"""The ISIC 2016 adapter, on a tiny copy of its layout and on the first rows of the official table."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.adapters.fake_isic2016 import write_isic2016
from dermapair.data.adapters import import_cases
from dermapair.errors import TableError

TRUTH = "ISBI2016_ISIC_Part3_Training_GroundTruth.csv"


@pytest.mark.parametrize("header", ["", "img_id,Label\n", "\ufeffimage,truth\n"])
def test_tables_with_and_without_a_header_give_the_same_rows(tmp_path: Path, header: str) -> None:
    table = import_cases("isic2016", write_isic2016(tmp_path, header=header))
    assert table.frame.select("image_id", "diagnosis", "split", "path").rows() == [
        ("ISIC_0000000", "benign", None, "ISBI2016_ISIC_Part3_Training_Data/ISIC_0000000.jpg"),
        ("ISIC_0000002", "malignant", None, "ISBI2016_ISIC_Part3_Training_Data/ISIC_0000002.jpg"),
        ("ISIC_0000004", "malignant", None, "ISBI2016_ISIC_Part3_Training_Data/ISIC_0000004.jpg"),
        ("ISIC_0000003", "benign", "test", "ISBI2016_ISIC_Part3_Test_Data/ISIC_0000003.jpg"),
        ("ISIC_0000012", "malignant", "test", "ISBI2016_ISIC_Part3_Test_Data/ISIC_0000012.jpg"),
    ]
    assert table.diagnoses == ("benign", "malignant")
    assert table.frame["lesion_id"].equals(table.frame["image_id"].rename("lesion_id"))
    assert (table.manifest["lesion_ids"], table.frame["license"][0]) == ("image", "CC-0")


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("2,malignant", "2,malign", r"row 2 \(ISIC_0000002\): expected a truth of benign, .* got 'malign'"),
        ("0,benign", "0,bening", r"row 1 \(ISIC_0000000\): expected a truth .* got 'bening'"),
        ("4,malignant", "4,", r"row 3 \(ISIC_0000004\): expected a truth .* got None"),
        (",benign\n", ",benign,\n", "expected a CSV table in UTF-8|expected two columns"),
        ("ISIC_0000002,malignant\n", "ISIC_0000002\n", r"row 2 \(ISIC_0000002\): expected a truth .* None"),
    ],
)
def test_a_bad_row_is_refused_by_its_number(tmp_path: Path, old: str, new: str, match: str) -> None:
    path = write_isic2016(tmp_path) / TRUTH
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(TableError, match=match):
        import_cases("isic2016", tmp_path)


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    (write_isic2016(tmp_path) / TRUTH).write_text("")
    with pytest.raises(TableError, match=f"{TRUTH}: expected a CSV table"):
        import_cases("isic2016", tmp_path)


def test_the_first_rows_of_the_official_table_are_read(shared: Path, tmp_path: Path) -> None:
    text = (shared / "data" / "formats" / "isic2016" / TRUTH).read_text()
    (tmp_path / TRUTH).write_text(text)
    folder = tmp_path / "ISBI2016_ISIC_Part3_Training_Data"
    folder.mkdir()
    for line in text.splitlines()[1:]:
        (folder / f"{line.split(',')[0]}.jpg").touch()
    frame = import_cases("isic2016", tmp_path).frame
    assert dict(frame.group_by("diagnosis").len().rows()) == {"benign": 144, "malignant": 56}
