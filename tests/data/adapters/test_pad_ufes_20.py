"""The PAD-UFES-20 adapter, on a tiny copy of the official layout and on true rows of the metadata."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from data.adapters.fake_pad_ufes_20 import write_pad_ufes_20
from data.adapters.layouts import deeper_in_capitals
from dermapair.data.adapters import import_cases
from dermapair.errors import MissingFilesError, TableError

PARTS = ("imgs_part_1", "imgs_part_2", "imgs_part_3")


@pytest.mark.parametrize(
    "folders", [("images",), PARTS, tuple(f"images/{part}" for part in PARTS)], ids=["one", "parts", "nested"]
)
def test_images_lie_in_one_folder_or_in_parts(folders: tuple[str, ...], tmp_path: Path) -> None:
    table = import_cases("pad-ufes-20", write_pad_ufes_20(tmp_path, *folders))
    assert table.frame["path"][0] == f"{folders[0]}/PAT_7_12_939.png"
    assert all(table.path(row).is_file() for row in range(4))


def test_metadata_may_lie_among_the_images_and_these_a_folder_deeper_in_capitals(tmp_path: Path) -> None:
    root = write_pad_ufes_20(tmp_path, *(f"images/{part}" for part in PARTS))
    expected = import_cases("pad-ufes-20", root).frame
    (root / "metadata.csv").rename(root / "images" / "metadata.csv")
    deeper_in_capitals(root / "images" / PARTS[0])
    frame = import_cases("pad-ufes-20", root).frame
    assert frame.drop("path").equals(expected.drop("path"))
    assert frame["path"].to_list()[:2] == [
        "images/imgs_part_1/imgs_part_1/PAT_7_12_939.PNG",
        "images/imgs_part_2/PAT_7_12_940.png",
    ]


def test_a_lesion_number_of_two_patients_is_two_lesions(tmp_path: Path) -> None:
    frame = import_cases("pad-ufes-20", write_pad_ufes_20(tmp_path, "images")).frame
    assert frame.select("image_id", "lesion_id", "patient_id", "diagnosis").rows() == [
        ("PAT_7_12_939", "PAT_7_12", "PAT_7", "BCC"),
        ("PAT_7_12_940", "PAT_7_12", "PAT_7", "BCC"),
        ("PAT_8_12_547", "PAT_8_12", "PAT_8", "ACK"),
        ("PAT_9_30_530", "PAT_9_30", "PAT_9", "NEV"),
    ]


def test_facts_are_kept_and_unknown_is_null(tmp_path: Path) -> None:
    table = import_cases("pad-ufes-20", write_pad_ufes_20(tmp_path, "images"))
    facts = ("view", "age", "sex", "site", "skin_tone", "license", "biopsed", "background_father", "grew")
    assert table.frame.select(facts).row(0) == (
        *("clinical", 55.0, "FEMALE", "NECK", "3", "CC BY 4.0", "True", "ITALY", None),
    )
    assert table.frame["background_mother"].to_list() == [None] * 4, "UNK is unknown"
    assert table.frame.select("sex", "skin_tone", "smoke").row(2) == (None, None, None)
    assert table.frame["split"].null_count() == 4
    assert table.diagnoses == ("ACK", "BCC", "MEL", "NEV", "SCC", "SEK")
    assert table.manifest["skin_tone_scale"] == "Fitzpatrick, 1 light to 6 dark"


def test_all_missing_images_are_listed(tmp_path: Path) -> None:
    shutil.rmtree(write_pad_ufes_20(tmp_path, *PARTS) / "imgs_part_1")
    with pytest.raises(MissingFilesError, match="2 files") as caught:
        import_cases("pad-ufes-20", tmp_path)
    assert caught.value.paths == ("images/PAT_7_12_939.png", "images/PAT_9_30_530.png")


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (",ACK,", ",BOD,", r"row 3 \(PAT_8_12_547.png\): expected one of ACK, .* in diagnostic, got 'BOD'"),
        (",ACK,", ",,", r"row 3 .* in diagnostic, got None"),
        (",3.0,", ",7.0,", r"row 1 \(PAT_7_12_939.png\): expected a Fitzpatrick type 1 to 6 .*'7.0'"),
        (",3.0,", ",2.5,", r"row 1 .*expected a Fitzpatrick type 1 to 6 .*'2.5'"),
        (",77,", ",old,", "row 3: expected a number in age, got 'old'"),
        ("PAT_7_12_940", "PAT_7_12_939", r"row 1 \(image 'PAT_7_12_939'\).*occurs twice"),
        ("PAT_8,12", ",12", r"row 3 \(image 'PAT_8_12_547'\): lesion_id is empty"),
        ("PAT_9,30", "PAT_8,12", "lesion 'PAT_8_12' has the diagnoses ACK, NEV"),
        ("PAT_8_12_547.png", "../PAT_8_12_547.png", r"row 3 .*leads outside the root"),
        ("fitspatrick", "fitzpatrick", "lacks the columns fitspatrick"),
    ],
)
def test_a_bad_row_is_refused_by_its_number(old: str, new: str, match: str, tmp_path: Path) -> None:
    path = write_pad_ufes_20(tmp_path, "images") / "metadata.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(TableError, match=match):
        import_cases("pad-ufes-20", tmp_path)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="metadata.csv: expected this table, but it is not there"):
        import_cases("pad-ufes-20", tmp_path)


def test_true_rows_of_the_metadata_are_read(shared: Path, tmp_path: Path) -> None:
    path = shared / "data" / "formats" / "pad_ufes20" / "metadata.csv"
    shutil.copy(path, tmp_path)
    (tmp_path / "images").mkdir()
    for image in pl.read_csv(path)["img_id"]:
        (tmp_path / "images" / image).touch()
    frame = import_cases("pad-ufes-20", tmp_path).frame
    assert dict(frame.group_by("diagnosis").len().rows()) == {
        "ACK": 69, "BCC": 72, "MEL": 4, "NEV": 19, "SCC": 19, "SEK": 17
    }  # fmt: skip
    assert frame["lesion_id"].n_unique() == 198
    assert frame.filter(pl.col("lesion_id").str.ends_with("_738"))["patient_id"].n_unique() == 2
    tones = frame["skin_tone"].value_counts(sort=True).rows()
    assert tones == [(None, 73), ("2", 64), ("3", 44), ("1", 16), ("4", 2), ("5", 1)]
    assert frame["grew"].null_count() == 27
