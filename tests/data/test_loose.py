"""Loose files as a case table."""

from __future__ import annotations

from pathlib import Path

import pytest

from dermapair.data.loose import folder_cases, looks_like_an_image, one_lesion
from dermapair.errors import TableError, UsageError
from dermapair.types import VIEWS


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_pair_is_one_lesion_named_after_its_clinical_file(tmp_path: Path) -> None:
    clinical, dermoscopic = tmp_path / "mole.jpg", tmp_path / "deep" / "scope.png"
    touch(clinical, dermoscopic)
    made = one_lesion(clinical=clinical, dermoscopic=dermoscopic)
    assert made.frame.select("lesion_id", "view").rows() == [("mole", "clinical"), ("mole", "dermoscopic")]
    assert [made.path(i) for i in range(2)] == [clinical.resolve(), dermoscopic.resolve()]
    assert made.diagnoses == ()


def test_a_dermoscopic_file_alone_names_its_lesion(tmp_path: Path) -> None:
    made = one_lesion(clinical=None, dermoscopic=tmp_path / "scope.png")
    assert made.frame["lesion_id"].to_list() == ["scope"]
    with pytest.raises(UsageError, match="expected a clinical or a dermoscopic image, got none"):
        one_lesion(clinical=None, dermoscopic=None)


def test_a_relative_path_and_a_link_keep_the_name_that_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / "blobs" / "9f2c", tmp_path / "here" / "x")
    (tmp_path / "mole.jpg").symlink_to(tmp_path / "blobs" / "9f2c")
    monkeypatch.chdir(tmp_path / "here")
    made = one_lesion(clinical=Path("../mole.jpg"), dermoscopic=None)
    assert made.frame["lesion_id"].to_list() == ["mole"]
    assert made.path(0).samefile(tmp_path / "blobs" / "9f2c")


def test_equal_stems_of_two_subfolders_are_one_lesion(tmp_path: Path) -> None:
    touch(tmp_path / "clinical" / "a.jpg", tmp_path / "clinical" / "b.jpg", tmp_path / "clinical" / ".hidden")
    touch(tmp_path / "dermoscopic" / "b.png", tmp_path / "dermoscopic" / "c.png")
    made = folder_cases(tmp_path, views=VIEWS)
    assert made.frame.select("lesion_id", "view", "path").rows() == [
        ("a", "clinical", "clinical/a.jpg"),
        ("b", "clinical", "clinical/b.jpg"),
        ("b", "dermoscopic", "dermoscopic/b.png"),
        ("c", "dermoscopic", "dermoscopic/c.png"),
    ]


def test_images_without_subfolders_are_lesions_of_the_view_that_is_named(tmp_path: Path) -> None:
    touch(tmp_path / "photo 12:30.jpg", tmp_path / "b.jpg")
    made = folder_cases(tmp_path, views=VIEWS, view="clinical")
    assert made.frame["lesion_id"].to_list() == ["b", "photo 12:30"]
    assert made.frame["view"].unique().to_list() == ["clinical"]
    single = folder_cases(tmp_path, views=("dermoscopic",))
    assert single.frame["view"].unique().to_list() == ["dermoscopic"]


def test_what_a_folder_shows_must_be_known(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg")
    with pytest.raises(UsageError, match="takes clinical and dermoscopic; say with --view"):
        folder_cases(tmp_path, views=VIEWS)
    with pytest.raises(UsageError, match="--view: expected clinical or dermoscopic, got 'macro'"):
        folder_cases(tmp_path, views=VIEWS, view="macro")


def test_a_folder_that_is_not_there_empty_or_ambiguous_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="expected a folder of images, but it is not there"):
        folder_cases(tmp_path / "none", views=VIEWS, view="clinical")
    with pytest.raises(TableError, match="expected images, but there is no file"):
        folder_cases(tmp_path, views=VIEWS, view="clinical")
    touch(tmp_path / "a.jpg", tmp_path / "a.png")
    with pytest.raises(TableError, match=r"a.jpg and a.png share a stem; rename one"):
        folder_cases(tmp_path, views=VIEWS, view="clinical")


def test_images_beside_subfolders_are_refused_and_other_files_are_no_matter(tmp_path: Path) -> None:
    touch(tmp_path / "clinical" / "a.jpg", tmp_path / "p.csv", tmp_path / ".x.jpg")
    assert folder_cases(tmp_path, views=VIEWS).frame["lesion_id"].to_list() == ["a"]
    touch(tmp_path / "b.JPG", tmp_path / "c.png")
    with pytest.raises(TableError, match=r"all images in clinical/, but b.JPG lies beside \(2 such files\)"):
        folder_cases(tmp_path, views=VIEWS)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        *(
            (name, True)
            for name in ("a.jpg", "a.JPEG", "a.png", "a.tif", "a.bmp", "a.webp", "a.mpo", "a.dcm")
        ),
        *((name, False) for name in ("a.h5", "a.mpg", "a.eps", "a.pdf", "a.ico", "a.gif", "a", ".a.jpg")),
    ],
)
def test_endings_of_pictures_are_those_of_the_types_that_are_read(name: str, is_one: bool) -> None:
    assert looks_like_an_image(Path(name)) is is_one


def test_a_view_is_refused_where_subfolders_name_it(tmp_path: Path) -> None:
    touch(tmp_path / "clinical" / "a.jpg", tmp_path / "dermoscopic" / "a.jpg")
    with pytest.raises(UsageError, match="--view is for images without subfolders, but clinical/ and derm"):
        folder_cases(tmp_path, views=VIEWS, view="clinical")
