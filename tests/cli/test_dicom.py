"""DICOM files through the commands: the same figures as PNG files, and nothing of the patient."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Command
from data.tables import smooth_picture
from imaging.dicom_files import PATIENT, RLE, dicom
from imaging.writers import encode
from training.phantoms import register_tiny


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    register_tiny(monkeypatch)


def write(folder: Path, ending: str) -> Path:
    """Write three pairs and their CSV; one DICOM file is compressed, one cut short."""
    rows = ["lesion_id,clinical,dermoscopic,diagnosis"]
    for i, name in enumerate(("a", "b", "c")):
        for j, view in enumerate(("clinical", "dermoscopic")):
            pixels = smooth_picture(2 * i + j)
            data = encode(pixels, "PNG") if ending == "png" else dicom(pixels, syntax=RLE)
            (folder / view).mkdir(parents=True, exist_ok=True)
            cut = -80 if (name, view) == ("c", "clinical") else None
            (folder / view / f"{name}.{ending}").write_bytes(data[:cut])
        rows.append(f"{name},clinical/{name}.{ending},dermoscopic/{name}.{ending},MEL")
    (folder / "cases.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("form", ["cases", "folder"])
def test_a_case_folder_or_folder_of_dicom_files_predicts_what_one_of_png_files_does(
    command: Command, run: Path, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said, written = "", {}
    for ending in ("png", "dcm"):
        source, cases, out = write(tmp_path / ending, ending), tmp_path / f"{ending}_cases", tmp_path / ending
        if form == "cases":
            assert command("data", "import", "csv", source / "cases.csv", "--out", cases) == 0
            assert command("data", "prepare", cases, "--size", "48") == 0
            given: tuple[object, ...] = ("--data", cases)
        else:
            (source / "cases.csv").unlink()
            given = ("--folder", source)
        assert command("predict", run, *given, "--out", out / "p.csv", "--device", "cpu") == 0
        written[ending] = (out / "p.csv").read_text(encoding="utf-8")
        caught = capsys.readouterr()
        said += caught.out + caught.err
    assert written["dcm"] == written["png"]
    assert written["png"].count("\n") == 1 + 4 + 4 + 2  # header; four readouts of a pair, two of one view
    assert "cannot read an image of c: " in said
    made = [
        p
        for folder in ("dcm_cases", "dcm/p.csv")
        for p in [tmp_path / folder, *tmp_path.glob(f"{folder}/**/*")]
    ]
    texts = [said.encode(), *(p.read_bytes() for p in made if p.is_file())]
    assert not [word for word in PATIENT if any(word.encode() in text for text in texts)]


def test_a_dicom_file_beside_subfolders_is_refused(
    command: Command, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "dcm", "dcm")
    (folder / "beside.dcm").write_bytes(dicom(smooth_picture(0)))
    assert command("predict", run, "--folder", folder, "--out", tmp_path / "p.csv") == 2
    assert "beside.dcm lies beside" in capsys.readouterr().err
