"""Which files of a folder are its images: one rule for every command, the rest counted."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sgseg.datasets import ImageFolder, LabelledFolder
from sgseg.datasets.files import read_list
from sgseg.datasets.scan import AGAIN, BROKEN, FORMATS, HIDDEN, LABELS, NAMED, OTHER, Scan, scan
from sgseg.datasets.verify import verify
from tests.field import scenes


def counts(found: Scan) -> dict[str, int]:
    """Reason -> how many were left out for it."""
    return {reason: len(paths) for reason, paths in found.left_out.items()}


def test_hidden_linked_and_unknown(tmp_path: Path) -> None:
    """Previews, system files, loops, HEIC are left out by reason; a linked folder is in."""
    scenes.draw_hidden_folders(tmp_path)
    found = scan(tmp_path)
    names = [path.relative_to(tmp_path / "images").as_posix() for path in found.paths]
    assert names == [*(f"im{n}.png" for n in range(6)), "link/linked.png"]
    assert found.root == tmp_path / "images" and found.linked == 1
    assert counts(found) == {HIDDEN: 5, AGAIN: 1, BROKEN: 1, FORMATS: 1, NAMED: 1, OTHER: 1}
    sentence = found.sentence()
    for words in ("7 images, 1 of them through links", "5 hidden", ".heic 1", ".txt 1", "dir.png"):
        assert words in sentence, sentence


def test_links_in_a_ring_end(tmp_path: Path) -> None:
    """Two linked folders that link to each other are each walked once."""
    for own, other in (("a", "b"), ("b", "a")):
        scenes.save(tmp_path / "far" / own / f"{own}.png", scenes.scene(0)[0])
        (tmp_path / "far" / own / "other").symlink_to(tmp_path / "far" / other)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a").symlink_to(tmp_path / "far" / "a")
    found = scan(tmp_path / "set")
    assert sorted(path.name for path in found.paths) == ["a.png", "b.png"]
    assert counts(found) == {AGAIN: 1}


@pytest.mark.parametrize(
    "ending", ["_mask", "_label", "_gt", "_seg", "-labels", "_L", "_gtFine_color", ".mask"]
)
def test_masks_beside_their_images(tmp_path: Path, ending: str) -> None:
    """A name that is an image's and a word for label map is no image; the sentence counts both."""
    scenes.draw_mask_beside(tmp_path, ending=ending)
    found = scan(tmp_path)
    assert [path.stem for path in found.paths] == ["im0", "im1", "im2", "im3"]
    assert "4 images; left out: 4 label maps" in found.sentence()


def test_mask_words_before_the_name_and_beside_an_ending(tmp_path: Path) -> None:
    """mask_7.png beside 7.png, 8_mask.png beside 8_sat.png; a mask of no image is an image."""
    names = ["7.png", "mask_7.png", "8_sat.png", "8_mask.png", "carnival_mask.png", "label.png"]
    scenes.draw_opencv_folder(tmp_path, names)
    taken = [path.name for path in scan(tmp_path).paths]
    assert taken == ["7.png", "8_sat.png", "carnival_mask.png", "label.png"]


@pytest.mark.parametrize("folder", ["masks", "annotations", "gt", "labels", "train_labels", "Mask"])
def test_folders_of_label_maps(tmp_path: Path, folder: str) -> None:
    """A folder beside the images whose name says so holds no images."""
    scenes.draw_opencv_folder(tmp_path, ["photos/a.png", f"{folder}/a.png", f"{folder}/b.jpg"])
    found = scan(tmp_path)
    assert [path.name for path in found.paths] == ["a.png"]
    assert counts(found) == {LABELS: 2}
    assert len(scan(tmp_path / folder).paths) == 2  # named itself, it is what is meant


def test_only_label_maps_are_no_images(tmp_path: Path) -> None:
    """The error on a folder of masks says what was there, not only that nothing was found."""
    scenes.draw_opencv_folder(tmp_path, ["masks/a.png", "masks/b.png"])
    with pytest.raises(FileNotFoundError, match="no image in it.*2 label maps"):
        scan(tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".npy"])
@pytest.mark.parametrize("colours", [False, True])
def test_masks_of_their_images_names(tmp_path: Path, suffix: str, colours: bool) -> None:
    """Beside a.jpg, a.png of one band or of few colours is its label map; a photograph is not."""
    for seed in range(3):
        image, labels = scenes.scene(seed)
        scenes.save(tmp_path / f"{seed}.jpg", image)
        labels = scenes.COLOURS[labels] if colours else labels
        if suffix == ".npy":
            np.save(tmp_path / f"{seed}.npy", labels)
        else:
            scenes.save(tmp_path / f"{seed}.png", labels)
    scenes.save(tmp_path / "both.jpg", scenes.scene(5)[0])
    scenes.save(tmp_path / "both.png", scenes.scene(5)[0])
    names = [path.name for path in scan(tmp_path).paths]
    assert names == ["0.jpg", "1.jpg", "2.jpg", "both.jpg", "both.png"]


def test_layouts_of_published_sets(tmp_path: Path) -> None:
    """VOC's and Cityscapes' label maps are left out, whatever they look like."""
    scenes.draw_voc_layout(tmp_path / "voc")
    scenes.draw_cityscapes_layout(tmp_path / "cityscapes")
    assert "4 images; left out: 4 label maps" in scan(tmp_path / "voc").sentence()
    assert "3 images; left out: 9 label maps" in scan(tmp_path / "cityscapes").sentence()


def test_data_sets_and_verify_follow_the_rule(tmp_path: Path) -> None:
    """Training and verify take what the scan takes; verify shows what it leaves out."""
    scenes.draw_voc_layout(tmp_path)
    assert len(ImageFolder(str(tmp_path))) == 4
    report = verify(tmp_path)
    assert report.items == 4 and "4 label maps" in report.text()


def test_a_file_is_itself(tmp_path: Path) -> None:
    """One image named by its path is that image, whatever its name says."""
    path = scenes.save(tmp_path / "a_mask.png", scenes.scene(0)[0])
    scenes.save(tmp_path / "a.png", scenes.scene(0)[0])
    assert scan(path) == Scan([path], tmp_path, {})


def test_two_images_of_one_name_share_no_label_map(tmp_path: Path) -> None:
    """a.png and a.jpg cannot both have labels/a.png: an error, and a list needs the suffix."""
    scenes.draw_folder(tmp_path, count=2)
    scenes.save(tmp_path / "images/im0.jpg", scenes.scene(0)[0])
    with pytest.raises(ValueError, match=r"im0\.jpg and .*im0\.png share one name"):
        LabelledFolder(str(tmp_path))
    assert any("shares its name" in fault.message for fault in verify(tmp_path).faults)
    (tmp_path / "train.txt").write_text("im0\n")
    with pytest.raises(FileNotFoundError, match="'im0', the name of several: add the suffix"):
        ImageFolder(str(tmp_path), lists=["train.txt"])
    (tmp_path / "train.txt").write_text("im0.jpg\n")
    assert len(ImageFolder(str(tmp_path), lists=["train.txt"])) == 1


def test_two_label_maps_of_one_image(tmp_path: Path) -> None:
    """labels/im0.png beside labels/im0.tif: an error that names both, not the first of them."""
    scenes.draw_folder(tmp_path, count=2)
    labels = cv2.imread(str(tmp_path / "labels/im0.png"), cv2.IMREAD_UNCHANGED)
    scenes.save(tmp_path / "labels/im0.tif", labels)
    with pytest.raises(ValueError, match="has 2 label maps"):
        LabelledFolder(str(tmp_path))
    assert any("has 2 label maps" in fault.message for fault in verify(tmp_path).faults)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_files_from_elsewhere(tmp_path: Path, encoding: str) -> None:
    """Byte-order marks, CRLF, blank lines and spaces are no part of a name."""
    (tmp_path / "l.txt").write_bytes("dark \r\n\r\n  été\r\n # no name\r\n".encode(encoding))
    assert read_list(tmp_path / "l.txt") == ["dark", "été"]
    scenes.draw_bom_classes(tmp_path / "set")
    assert LabelledFolder(str(tmp_path / "set")).classes == scenes.NAMES


def test_a_text_of_another_encoding_is_named(tmp_path: Path) -> None:
    """Latin-1 is refused with what to do, not read as other letters."""
    (tmp_path / "l.txt").write_bytes("été".encode("latin-1"))
    with pytest.raises(ValueError, match=r"l\.txt: is not UTF-8 text .*save it as UTF-8"):
        read_list(tmp_path / "l.txt")


def test_class_names_given_twice(tmp_path: Path) -> None:
    """One name for two classes would merge them in every table: it is named."""
    scenes.draw_folder(tmp_path, classes=b"dark\nbright\ndark\n")
    with pytest.raises(ValueError, match=r"class names \['dark'\] stand for more than one class"):
        LabelledFolder(str(tmp_path))
    assert [fault.kind for fault in verify(tmp_path).faults] == ["classes"]
