"""`read_image`, `as_image` and `image_size` over the corpus of good and bad files."""

from __future__ import annotations

import io
import os
import re
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from dermapair.errors import ImageError, UsageError
from dermapair.imaging.read import DEFAULT_MAX_PIXELS, as_image, image_size, read_image
from imaging.corpus import Case, make_corpus
from imaging.writers import as_stored, assert_contract, encode, exif, picture

with tempfile.TemporaryDirectory() as _folder:  # only the names, for the ids of the parameters
    _CASES = make_corpus(Path(_folder))
GOOD = [case.kind for case in _CASES if case.good]
BAD = [case.kind for case in _CASES if not case.good]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    return {case.kind: case for case in make_corpus(tmp_path_factory.mktemp("corpus"))}


def assert_near(got: np.ndarray, want: np.ndarray, tolerance: int) -> None:
    assert got.shape == want.shape
    assert int(np.abs(got.astype(int) - want).max()) <= tolerance


@pytest.mark.parametrize("kind", GOOD)
def test_good_file_gives_its_pixels_from_path_bytes_and_file(corpus: dict[str, Case], kind: str) -> None:
    case = corpus[kind]
    pixels = read_image(case.path)
    assert_contract(pixels)
    assert_near(pixels, case.pixels, case.tolerance)
    data = case.path.read_bytes()
    np.testing.assert_array_equal(read_image(data), pixels)
    np.testing.assert_array_equal(read_image(io.BytesIO(data)), pixels)
    np.testing.assert_array_equal(read_image(str(case.path)), pixels)


@pytest.mark.parametrize("kind", GOOD)
def test_size_is_that_of_the_upright_picture(corpus: dict[str, Case], kind: str) -> None:
    case = corpus[kind]
    height, width, _ = case.pixels.shape
    assert image_size(case.path) == (width, height)


@pytest.mark.parametrize("kind", BAD)
def test_bad_file_is_refused_with_its_name_and_reason(corpus: dict[str, Case], kind: str) -> None:
    case = corpus[kind]
    with pytest.raises(ImageError, match=case.reason) as caught:
        read_image(case.path)
    assert caught.value.source == str(case.path)
    assert case.reason is not None
    assert re.search(case.reason, caught.value.reason)


# Pillow itself leaves 16-bit white-is-zero as it is and compares 16-bit colours by their high bytes.
PILLOWS_OWN = ("white_is_zero_16.tif", "transparent_colour_16.png")


@pytest.mark.parametrize(
    "kind", [k for k in GOOD if k not in PILLOWS_OWN and "dcm" not in k and "dicom" not in k]
)
def test_pil_image_is_converted_as_its_file_is(corpus: dict[str, Case], kind: str) -> None:
    case = corpus[kind]
    with Image.open(case.path) as image:
        assert_near(as_image(image), case.pixels, case.tolerance + (2 if "16" in kind else 0))


def test_pil_image_of_several_frames_is_refused(corpus: dict[str, Case]) -> None:
    with (
        Image.open(corpus["animated.webp"].path) as image,
        pytest.raises(ImageError, match="3 frames; expected one"),
    ):
        as_image(image)


def test_pil_image_cut_short_is_refused_by_its_file_name(corpus: dict[str, Case]) -> None:
    case = corpus["cut.jpg"]
    with Image.open(case.path) as image, pytest.raises(ImageError, match=r"cut\.jpg: .*cut short"):
        as_image(image)


@pytest.mark.parametrize(("mode", "colour"), [("I", 9), ("F", 0.5)])
def test_pil_image_of_unknown_range_is_refused(mode: str, colour: float) -> None:
    with pytest.raises(ImageError, match=f"32 bits \\(mode {mode}\\) of unknown range"):
        as_image(Image.new(mode, (3, 3), colour))


def test_a_pil_image_is_left_as_it_was() -> None:
    stored = np.ascontiguousarray(as_stored(picture(), 6))
    image = Image.open(io.BytesIO(encode(stored, "PNG", exif=exif(6))))
    np.testing.assert_array_equal(as_image(image), picture())
    np.testing.assert_array_equal(np.asarray(image), stored)


def test_as_image_reads_paths_and_passes_arrays(corpus: dict[str, Case]) -> None:
    case = corpus["plain.png"]
    np.testing.assert_array_equal(as_image(case.path), case.pixels)
    np.testing.assert_array_equal(as_image(str(case.path)), case.pixels)
    array = picture()
    assert as_image(array) is array
    mirrored = array[:, ::-1]
    assert as_image(mirrored).flags.c_contiguous
    np.testing.assert_array_equal(as_image(mirrored), mirrored)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
)
def test_array_of_another_shape_or_type_is_refused(array: np.ndarray) -> None:
    with pytest.raises(ImageError, match=r"expected an H x W x 3 array of uint8 RGB, got \("):
        as_image(array)


def test_something_that_is_no_picture_is_refused() -> None:
    with pytest.raises(ImageError, match="expected a path, a PIL image or an array, got int"):
        as_image(3)  # type: ignore[arg-type]


def test_name_replaces_the_path_in_messages(corpus: dict[str, Case]) -> None:
    with pytest.raises(ImageError, match=r"^upload 7: .*empty file"):
        read_image(b"", name="upload 7")
    with pytest.raises(ImageError, match=r"^image: .*empty file"):
        read_image(b"")
    with pytest.raises(ImageError, match=r"^row 3: .*got a folder"):
        read_image(corpus["folder.jpg"].path, name="row 3")


def test_file_that_may_not_be_read_is_refused(
    corpus: dict[str, Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("dermapair.imaging.read.open", deny, raising=False)
    with pytest.raises(ImageError, match=r"plain\.jpg: expected a readable file, got 'Permission denied'"):
        read_image(corpus["plain.jpg"].path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_named_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match="neither a file nor a folder"):
        read_image(tmp_path / "pipe.jpg")


def test_path_with_a_null_byte_is_refused() -> None:
    with pytest.raises(ImageError, match="null byte"):
        read_image("a\0.jpg")


def test_limit_is_on_width_times_height(corpus: dict[str, Case]) -> None:
    path = corpus["plain.png"].path
    assert read_image(path, max_pixels=48 * 64).shape == (48, 64, 3)
    for read in (read_image, image_size):
        with pytest.raises(ImageError, match="expected at most 3071 pixels, got 64 x 48"):
            read(path, max_pixels=48 * 64 - 1)


def test_pillows_own_limit_neither_warns_nor_refuses(
    corpus: dict[str, Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)  # 3072 pixels would warn
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in ("plain.jpg", "plain.png", "plain.bmp", "lossless.webp"):
            assert read_image(corpus[kind].path).shape == (48, 64, 3)


def test_default_limit_is_where_pillow_begins_to_warn() -> None:
    assert Image.MAX_IMAGE_PIXELS == DEFAULT_MAX_PIXELS


def test_pillows_warning_about_a_tiff_is_a_refusal_where_warnings_are_errors(
    corpus: dict[str, Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    with pytest.raises(ImageError, match="got one that may be a bomb"):
        read_image(corpus["plain.tif"].path)


def test_pillow_set_to_fill_what_is_missing_is_refused(
    corpus: dict[str, Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(ImageError, match="LOAD_TRUNCATED_IMAGES"):
        read_image(corpus["cut.jpg"].path)


def test_settings_of_pillow_are_left_alone(corpus: dict[str, Case]) -> None:
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    for case in corpus.values():
        try:
            read_image(case.path)
        except ImageError:
            assert not case.good
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


def test_threads_read_the_same_as_one(corpus: dict[str, Case]) -> None:
    paths = [corpus[kind].path for kind in GOOD] * 3
    with ThreadPoolExecutor(4) as pool:
        for path, pixels in zip(paths, pool.map(read_image, paths), strict=True):
            np.testing.assert_array_equal(pixels, read_image(path))


@pytest.mark.parametrize(("min_side", "size"), [(1000, 600), (301, 600), (300, 300), (150, 150), (149, 150)])
def test_min_side_is_the_least_short_side(min_side: int, size: int) -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 800).astype(np.uint8)[None, :, None], (600, 800, 3))
    data = encode(np.ascontiguousarray(ramp), "JPEG")
    pixels = read_image(data, min_side=min_side)
    assert pixels.shape == (size, size * 4 // 3, 3)
    assert abs(int(pixels[0, pixels.shape[1] // 2, 0]) - 127) <= 3


def test_min_side_leaves_other_types_as_they_are(corpus: dict[str, Case]) -> None:
    case = corpus["plain.png"]
    np.testing.assert_array_equal(read_image(case.path, min_side=5), case.pixels)


def test_min_side_under_one_is_wrong_use(corpus: dict[str, Case]) -> None:
    with pytest.raises(UsageError, match="min_side of at least 1 pixel, got 0"):
        read_image(corpus["plain.jpg"].path, min_side=0)


def test_min_side_refuses_a_cut_jpeg_too(corpus: dict[str, Case]) -> None:
    with pytest.raises(ImageError, match="cut short and closed again"):
        read_image(corpus["cut_and_closed.jpg"].path, min_side=10)


def test_size_needs_only_the_header(corpus: dict[str, Case]) -> None:
    for kind in ("cut.jpg", "cut.bmp"):
        assert image_size(corpus[kind].path) == (64, 48)
    for kind in ("folder.jpg", "still.gif", "animated.webp", "bomb.jpg", "empty.jpg"):
        with pytest.raises(ImageError, match=corpus[kind].reason):
            image_size(corpus[kind].path)


def test_real_photographs_are_read_as_pillow_reads_them(shared: Path) -> None:
    folder = shared / "data" / "milk10k"
    paths = [path for path, _ in zip(folder.rglob("*.jpg"), range(20), strict=False)]
    assert paths
    for path in paths:
        with Image.open(path) as image:
            np.testing.assert_array_equal(read_image(path), np.asarray(image.convert("RGB")))
            assert image_size(path) == image.size
