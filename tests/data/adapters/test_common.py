"""What adapters share: files that must be there, codes, one-hot truths."""

from __future__ import annotations

from pathlib import Path

import h5py
import polars as pl
import pytest

from dermapair.data.adapters.common import one_hot_label, read_table, require_codes, require_files
from dermapair.errors import MissingFilesError, TableError


def test_files_in_folders_at_the_top_and_by_link_are_there_and_folders_are_not(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("top.jpg", "a/x.jpg", "a/b/y.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "a" / "link.jpg").symlink_to(tmp_path / "top.jpg")
    (tmp_path / "a" / "broken.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "a" / "folder.jpg").mkdir()
    require_files(tmp_path, [])
    require_files(tmp_path, ["top.jpg", "a/x.jpg", "a/b/y.jpg", "a/link.jpg", "a/./x.jpg", "a//x.jpg"])
    wanted = ["a/x.jpg", "a/broken.jpg", "a/folder.jpg", "none/z.jpg", "top.jpg/inner", "a"]
    with pytest.raises(MissingFilesError, match="5 files") as caught:
        require_files(tmp_path, pl.Series(wanted))
    assert caught.value.paths == tuple(wanted[1:])


def test_keys_of_an_hdf5_file_are_there_also_in_groups(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["x"], file["group/y"] = 1, 2
    require_files(tmp_path, ["a.hdf5/x", "a.hdf5/group/y"])
    with pytest.raises(MissingFilesError, match="2 files") as caught:
        require_files(tmp_path, ["a.hdf5/z", "a.hdf5/x", "a.hdf5/group/z"])
    assert caught.value.paths == ("a.hdf5/z", "a.hdf5/group/z")


def test_a_one_hot_row_gives_its_column_or_the_name_for_none() -> None:
    frame = pl.DataFrame({"id": ["x", "y", "z"], "A": ["0", "1", "0.0"], "B": ["1.0", "0", "0"]})
    path = Path("t.csv")
    assert one_hot_label(frame, ["A", "B"], path=path, none="N").to_list() == ["B", "A", "N"]
    assert one_hot_label(frame.head(2), ["A", "B"], path=path).to_list() == ["B", "A"]
    with pytest.raises(TableError, match=r"t\.csv: row 3 \(z\).* exactly one 1, got 0\.0, 0"):
        one_hot_label(frame, ["A", "B"], path=path)


@pytest.mark.parametrize("data", [b"", b"a,b\n\xe9,1\n", b"a,b\n1,2,3\n"], ids=["empty", "latin-1", "ragged"])
def test_what_is_no_csv_is_refused_with_what_to_do(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    match = r"t\.csv: expected a CSV table in UTF-8, but .+; correct it and save it as CSV in UTF-8$"
    with pytest.raises(TableError, match=match):
        read_table(tmp_path / "t.csv", required=())


def test_the_first_unknown_code_is_named_with_its_row() -> None:
    frame = pl.DataFrame({"id": ["x", "y", "z"], "dx": ["nv", None, "no"]})
    require_codes(frame.head(1), "dx", ["nv"], image="id", path=Path("t.csv"))
    with pytest.raises(TableError, match=r"t\.csv: row 2 \(y\): expected a dx of nv, got None; correct it"):
        require_codes(frame, "dx", ["nv"], image="id", path=Path("t.csv"))
