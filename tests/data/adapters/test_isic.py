"""What all adapters of ISIC challenges do alike, on tiny copies of their official layouts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from data.adapters.fake_isic2016 import write_isic2016
from data.adapters.fake_isic2017 import write_isic2017
from data.adapters.fake_isic2018 import write_isic2018
from data.adapters.fake_isic2019 import write_isic2019
from data.adapters.fake_isic2020 import write_isic2020
from data.adapters.fake_isic2024 import write_isic2024
from dermapair.data.adapters import import_cases
from dermapair.data.adapters.layout import newest
from dermapair.data.cases import read_cases, write_cases
from dermapair.errors import MissingFilesError, TableError

SETS: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "isic2016": (write_isic2016, "ISBI2016_ISIC_Part3_Training_GroundTruth.csv", "*_Part3_Training_Data"),
    "isic2017": (write_isic2017, "ISIC-2017_Training_Part3_GroundTruth.csv", "ISIC-2017_Training_Data"),
    "isic2018": (
        lambda root: write_isic2018(root, truth_folders=False),
        "ISIC2018_Task3_Training_GroundTruth.csv",
        "ISIC2018_Task3_Training_Input",
    ),
    "isic2019": (write_isic2019, "ISIC_2019_Training_GroundTruth.csv", "ISIC_2019_Training_Input"),
    "isic2020": (write_isic2020, "ISIC_2020_Training_GroundTruth_v2.csv", "ISIC_2020_Training_JPEG/train"),
    "isic2024": (write_isic2024, "train-metadata.csv", "train-image/image"),
}
"""Adapter -> how its tiny copy is written, its training truth, its training images."""


@pytest.fixture(params=SETS)
def adapter(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def root(adapter: str, tmp_path: Path) -> Path:
    return SETS[adapter][0](tmp_path / "set")


def images_of(root: Path, adapter: str) -> Path:
    return next(iter(root.glob(SETS[adapter][2])))


def test_a_written_case_folder_is_read_back_equal(root: Path, adapter: str, tmp_path: Path) -> None:
    table = import_cases(adapter, root)
    assert table.manifest["adapter"] == adapter and "notes" not in table.manifest
    write_cases(table, tmp_path / "cases")
    assert read_cases(tmp_path / "cases").frame.equals(table.frame)
    assert "absent" not in table.frame.columns
    assert all(table.path(row).suffix == ".jpg" for row in range(len(table.frame)) if adapter != "isic2024")


def test_images_without_their_tables_are_there_with_unknown_diagnoses(root: Path, adapter: str) -> None:
    with_truth = import_cases(adapter, root).frame
    for path in [*root.rglob("*.csv")]:
        path.unlink()
    frame = import_cases(adapter, root).frame
    assert sorted(frame["image_id"]) == sorted(with_truth["image_id"])
    assert frame["diagnosis"].to_list() == [None] * len(frame)


def test_a_training_part_without_its_truth_is_named_and_a_test_part_is_not(root: Path, adapter: str) -> None:
    whole = import_cases(adapter, root).frame
    for path in [
        path for path in root.rglob("*.csv") if "etadata.csv" not in path.name or adapter == "isic2024"
    ]:
        if "LesionGroupings" not in path.name:
            path.unlink()
    notes = import_cases(adapter, root).manifest["notes"]
    of = {"Training": {None, "train"}, "Validation": {"val"}}
    counts = {name: sum(split in splits for split in whole["split"]) for name, splits in of.items()}
    expected = [
        f"no truth was found for the {name} part ({file}): {counts[name]} images without a diagnosis"
        for name in of
        if counts[name]
        for file in [SETS[adapter][1].replace("Training", name).replace("_v2", "")]
    ]
    assert notes == expected


@pytest.mark.parametrize(
    ("adapter", "table"),
    [
        ("isic2018", "ISIC2018_Task3_Training_LesionGroupings.csv"),
        ("isic2019", "ISIC_2019_Training_Metadata.csv"),
    ],
)
def test_a_set_without_its_table_of_lesions_is_named(root: Path, table: str, adapter: str) -> None:
    (root / table).unlink()
    assert import_cases(adapter, root).manifest["notes"] == [
        f"no lesion ids were found for the Training part ({table}): images of one lesion count as several, "
        f"and a split may part them"
    ]


def test_the_training_part_alone_is_enough(root: Path, adapter: str) -> None:
    for path in [*root.glob("*[Tt]est*"), *root.glob("*Validation*")]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    frame = import_cases(adapter, root).frame
    assert frame["diagnosis"].null_count() == 0
    assert set(frame["split"]) <= {None, "train"}


def test_a_missing_folder_lists_every_image_that_its_table_names(root: Path, adapter: str) -> None:
    n_train = import_cases(adapter, root).frame.filter(
        pl.col("split").is_null() | (pl.col("split") == "train")
    )
    shutil.rmtree(images_of(root, adapter))
    with pytest.raises(
        MissingFilesError, match=f"{len(n_train)} files that the tables name are missing"
    ) as caught:
        import_cases(adapter, root)
    assert {Path(path).stem for path in caught.value.paths} == set(n_train["image_id"])


def test_images_one_folder_deeper_in_capitals_and_tables_among_them_are_found(
    root: Path, adapter: str
) -> None:
    expected = import_cases(adapter, root).frame
    folder = images_of(root, adapter)
    inner = folder / folder.name
    inner.mkdir()
    for path in [*folder.glob("*.jpg")]:
        path.rename(inner / f"{path.stem}.JPG")
    truth = root / SETS[adapter][1]
    truth.rename(inner / truth.name)
    frame = import_cases(adapter, root).frame
    assert frame.drop("path").equals(expected.drop("path"))
    assert sum(path.endswith(".JPG") for path in frame["path"]) == len(list(inner.glob("*.JPG")))


def test_superpixels_and_folders_are_no_images(root: Path, adapter: str) -> None:
    images = images_of(root, adapter)
    (images / "ISIC_9999999.jpg").mkdir()
    (root / SETS[adapter][1]).unlink()
    frame = import_cases(adapter, root).frame
    assert not frame["image_id"].str.contains("superpixels|9999999").any()


@pytest.mark.parametrize(
    ("adapter", "table"),
    [
        *((adapter, truth) for adapter, (_, truth, _) in SETS.items()),
        ("isic2017", "ISIC-2017_Training_Data_metadata.csv"),
        ("isic2018", "ISIC2018_Task3_Training_LesionGroupings.csv"),
        ("isic2019", "ISIC_2019_Test_Metadata.csv"),
        ("isic2020", "ISIC_2020_Test_Metadata.csv"),
        ("isic2024", "test-metadata.csv"),
    ],
)
def test_an_image_that_a_table_names_twice_is_refused(root: Path, adapter: str, table: str) -> None:
    path = root / table
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[-1]]) + "\n")
    first = len(lines) - (0 if adapter == "isic2016" else 1)
    image = lines[-1].split(",")[0]
    with pytest.raises(
        TableError, match=rf"{table}: row {first} \(image '{image}'\): this image occurs twice"
    ):
        import_cases(adapter, root)


def test_another_folder_is_refused_by_what_was_expected(adapter: str, tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(TableError, match=r"expected a folder .*but nothing of the set is there"):
            import_cases(adapter, place)


def test_the_newest_version_of_a_name_is_read(tmp_path: Path) -> None:
    for name in ("a_x.csv", "a_v2_x.csv", "a_v10_x.csv", "a_v2_x_v3.csv", "a_v11_xy.csv", "ab_x.csv"):
        (tmp_path / name).touch()
    assert newest(tmp_path, "a*_x*.csv") == tmp_path / "a_v10_x.csv"
    assert newest(tmp_path, "a_x*.csv") == tmp_path / "a_x.csv"
    assert newest(tmp_path, "b*.csv") is None
    (tmp_path / "c_v2" / "d").mkdir(parents=True)
    assert newest(tmp_path, "c*/d") == tmp_path / "c_v2" / "d"
    assert newest(tmp_path, "c*/e") is None


def test_a_newer_truth_takes_the_place_of_the_first(tmp_path: Path) -> None:
    root = write_isic2019(tmp_path)
    old = root / "ISIC_2019_Training_GroundTruth.csv"
    changed = old.read_text().replace("ISIC_0000002,1.0,0.0", "ISIC_0000002,0.0,1.0")
    (root / "ISIC_2019_Training_GroundTruth_v2.csv").write_text(changed)
    assert import_cases("isic2019", root).frame["diagnosis"][0] == "NV"


def test_a_lesion_with_two_diagnoses_has_none_and_it_is_said(tmp_path: Path) -> None:
    root = write_isic2019(tmp_path)
    path = root / "ISIC_2019_Training_GroundTruth.csv"
    path.write_text(path.read_text().replace("ISIC_0024307,0.0,1.0", "ISIC_0024307,1.0,0.0"))
    table = import_cases("isic2019", root)
    assert table.frame["diagnosis"].to_list() == ["MEL", "NV", None, None, None, None]
    assert table.frame["official_diagnosis"].to_list() == [None, None, "NV", "MEL", None, None]
    assert table.frame["lesion_id"][2] == table.frame["lesion_id"][3] == "HAM_0000550"
    (note,) = table.manifest["notes"]
    assert note.startswith("1 lesions have several diagnoses") and note.endswith("HAM_0000550")


def test_images_that_the_truth_does_not_name_are_left_out_and_it_is_said(tmp_path: Path) -> None:
    root = write_isic2019(tmp_path)
    path = root / "ISIC_2019_Training_GroundTruth.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:3]) + "\n")
    table = import_cases("isic2019", root)
    assert table.frame.filter(pl.col("split").is_null())["image_id"].len() == 2
    (note,) = table.manifest["notes"]
    assert note == f"{path.name}: 2 images of further tables or folders are not in it and left out"
