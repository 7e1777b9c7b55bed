"""`dermapair hair`: files in, files out, nothing lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.conftest import Command
from dermapair.imaging.hair import remove_hair
from dermapair.imaging.read import read_image
from imaging.hair.drawn import HAIR, hairy, skin


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images, one of them turned by EXIF, and one file that is cut short."""
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(hairy()[0]).save(folder / "hairy.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    exif[0x8825] = {1: "N", 2: (48.0, 8.0, 0.0)}  # GPS
    Image.fromarray(skin()).save(folder / "smooth.jpg", exif=exif)
    stripes = skin(2.0)
    for x in range(0, stripes.shape[1], 12):
        stripes[:, x : x + 4] = HAIR
    Image.fromarray(stripes).save(folder / "striped.png")
    (folder / "cut.png").write_bytes((folder / "hairy.png").read_bytes()[:2000])
    (folder / ".hidden").write_text("no image")
    return folder


def test_a_folder_is_cleaned_and_what_cannot_be_is_named(
    command: Command, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert command("hair", folder, out, "--mask", "--method", "oriented", "--json") == 0
    captured = capsys.readouterr()
    summary = json.loads(captured.out)
    assert sorted(summary["images"]) == ["hairy", "smooth", "striped"]
    assert [name for name, _ in summary["errors"]] == ["cut.png"]
    assert "cannot read cut.png" in captured.err and "striped: left as it is" in captured.err
    assert summary["images"]["striped"]["refused"]
    expected = remove_hair(hairy()[0], "oriented")
    np.testing.assert_array_equal(read_image(out / "hairy.png"), expected.image)
    mask = np.asarray(Image.open(out / "hairy_hair.png"))
    np.testing.assert_array_equal(mask, expected.mask * np.uint8(255))
    assert summary["images"]["hairy"]["hair"] == pytest.approx(expected.mask.mean())
    with Image.open(out / "smooth.png") as smooth:
        assert smooth.size == (384, 512)
        assert not smooth.getexif()


def test_one_image_without_masks(command: Command, folder: Path, tmp_path: Path) -> None:
    assert command("hair", folder / "hairy.png", tmp_path / "out") == 0
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["hairy.png"]


def test_strict_fails_on_an_unreadable_image(command: Command, folder: Path, tmp_path: Path) -> None:
    assert command("hair", folder, tmp_path / "out", "--strict") == 1
    assert command("hair", folder / "cut.png", tmp_path / "out") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("in", "in"), "expected another folder than that of the images"),
        (("in", "out", "--method", "razor"), "expected one of dullrazor"),
        (("empty", "out"), "expected images, but there is no file"),
        (("twice", "out"), "a.jpg and a.png share a stem"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_written(
    command: Command,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "twice").mkdir()
    for name in ("a.jpg", "a.png"):
        Image.fromarray(skin(0.2)).save(tmp_path / "twice" / name)
    before = sorted(folder.iterdir())
    source, out, *rest = arguments
    assert command("hair", tmp_path / source, tmp_path / out, *rest) == 2
    assert message in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before
    assert not (tmp_path / "out").exists()
