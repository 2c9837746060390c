"""Which files of a folder are its images: one rule for every command, the rest counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from sgseg.datasets import ImageFolder, LabelledFolder, label_maps
from sgseg.datasets.scan import (
    AGAIN,
    BESIDE,
    BROKEN,
    CLOSED,
    FORMATS,
    HIDDEN,
    LABELS,
    NAMED,
    OTHER,
    PREDICTED,
    Scan,
    scan,
)
from sgseg.datasets.verify import verify
from sgseg.io.images import read_list
from tests.field import scenes


def counts(found: Scan) -> dict[str, int]:
    """Reason -> how many were left out for it."""
    return {reason: len(paths) for reason, paths in found.left_out.items()}


def draw_maps(folder: Path, names: Sequence[str], side: int = scenes.SIDE) -> None:
    """Label maps of three values under given names."""
    for seed, name in enumerate(names):
        labels = scenes.scene(seed, side)[1] * 100
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".npy"):
            np.save(folder / name, labels)
        else:
            scenes.save(folder / name, labels)


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
    """mask_7.png, 8_mask.png beside 8_sat.png: a word, and pixels of few values."""
    scenes.draw_opencv_folder(tmp_path, ["7.png", "8_sat.png"])
    draw_maps(tmp_path, ["mask_7.png", "8_mask.png", "8_mask_2.png"])
    assert [path.name for path in scan(tmp_path).paths] == ["7.png", "8_sat.png"]


@pytest.mark.parametrize("folder", ["masks", "annotations", "gt", "labels", "train_labels", "Mask"])
def test_folders_of_label_maps(tmp_path: Path, folder: str) -> None:
    """A folder of painted maps beside the images whose name says so holds no images."""
    scenes.draw_opencv_folder(tmp_path, ["photos/a.png"])
    draw_maps(tmp_path / folder, ["a.png", "b.png"])
    found = scan(tmp_path)
    assert [path.name for path in found.paths] == ["a.png"]
    assert counts(found) == {LABELS: 2}
    assert len(scan(tmp_path / folder).paths) == 2  # named itself, it is what is meant


@pytest.mark.parametrize(
    "names",
    [
        ("scene_0_L.png", "scene_0_R.png", "scene_1_L.png", "scene_1_R.png"),
        ("bottle_1.jpg", "label_1.jpg", "1.jpg"),
        ("IMG_001.jpg", "IMG_002.jpg", "IMG_mask.jpg"),
        ("ford.jpg", "ford_gt.jpg"),
        ("carnival.jpg", "carnival mask.jpg"),
        ("Porsche GT/a.jpg", "Porsche GT/b.jpg", "Fiat/a.jpg"),
        ("face mask/a.jpg", "no mask/a.jpg"),
        ("images/mask/a.jpg", "images/b.jpg"),
        ("gt/a.png", "gt/b.png"),
        ("class_1/0.png", "class_2/0.png"),
        ("gt/a.tif", "a.tif"),
        ("unmasked/a.png", "flabels.png", "a_rgb.png", "a.jpg"),
    ],
)
def test_photographs_are_images_whatever_their_names(tmp_path: Path, names: tuple[str]) -> None:
    """A word for label maps makes none of pixels of many colours."""
    scenes.draw_opencv_folder(tmp_path, names)
    found = scan(tmp_path)
    taken = {path.relative_to(tmp_path).as_posix() for path in found.paths}
    assert taken == set(names) and not found.left_out


@pytest.mark.parametrize(
    "name",
    [
        *("target/y.png", "targets/y.png", "class_maps/y.png", "etiquettes/y.png", "Y/y.npy"),
        *("rgb/y_target.png", "rgb/y_lbl.png", "rgb/y_labeled.png", "rgb/y_semantic.png"),
        *("rgb/y_parsing.png", "rgb/y_matte.png", "rgb/yMask.png", "rgb/y(mask).png"),
        *("rgb/ymask.png", "tgt/y_tgt.png", "rgb/y_pred.png", "x/y_label.png"),
        *("rgb/y_labels_v2.png", "rgb/y mask 1.tif", "rgb/y_mask.jpg", "rgb/y.bmp"),
    ],
)
def test_painted_maps_of_photographs_are_none(tmp_path: Path, name: str) -> None:
    """Few values beside, or in a folder beside, a photograph of the same name: a label map."""
    scenes.draw_opencv_folder(tmp_path, ["rgb/y.png", "rgb/x.png"])
    draw_maps(tmp_path, [name], side=256)
    found = scan(tmp_path)
    assert [path.name for path in found.paths] == ["x.png", "y.png"]
    assert counts(found) == {LABELS: 1}


def test_soft_edges_and_many_instances_are_painted(tmp_path: Path) -> None:
    """A matte's grey seam and an instance map's many numbers are no photograph's noise."""
    scenes.save(tmp_path / "a.png", scenes.scene(0, 256)[0])
    matte = cv2.GaussianBlur(scenes.scene(0, 256)[1] // 1 * 120, (9, 9), 0)
    scenes.save(tmp_path / "a_matte.png", matte)
    rows, columns = np.indices((512, 512)) // 48
    scenes.save(tmp_path / "a_instanceIds.png", (rows * 11 + columns).astype(np.uint16))
    assert [path.name for path in scan(tmp_path).paths] == ["a.png"]


def test_black_frames_among_photographs_are_images(tmp_path: Path) -> None:
    """A frame of one value is no label map of the frame of its name in another sequence."""
    names = [f"{folder}/{n}.png" for folder in ("first", "second") for n in range(6)]
    scenes.draw_opencv_folder(tmp_path, names)
    for name in ("first/0.png", "first/1.png", "third/0.png"):
        scenes.save(tmp_path / name, np.zeros((64, 64, 3), np.uint8))
    assert len(scan(tmp_path).paths) == 13


def test_what_has_a_label_map_or_is_listed_is_an_image(tmp_path: Path) -> None:
    """A flat drawing named like a label map is an image if labels/ or a list say so."""
    scenes.draw_folder(tmp_path, count=1)
    draw_maps(tmp_path / "images", ["b_mask.png", "c_mask.png", "d_mask.png", "im0.bmp"])
    draw_maps(tmp_path / "labels", ["b_mask.png"])
    assert [path.stem for path in scan(tmp_path).paths] == ["b_mask", "im0"]
    (tmp_path / "train.txt").write_text("c_mask\nim0\nd_mask.png\n")
    images = ImageFolder(str(tmp_path), lists=["train.txt"])
    assert [path.name for path in images.paths] == ["c_mask.png", "im0.png", "d_mask.png"]
    assert not [fault for fault in verify(tmp_path).faults if fault.kind == "list"]


def test_of_many_files_of_one_kind_a_few_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder's verdict costs three files, that of a name's ending no more than 32."""
    scenes.draw_opencv_folder(tmp_path, [f"photos/{n}.png" for n in range(99)])
    draw_maps(tmp_path, [f"masks/{n}.png" for n in range(99)])
    draw_maps(tmp_path, [f"photos/{n}_mask.png" for n in range(99)])
    seen: list[Path] = []
    whole = label_maps.look
    monkeypatch.setattr(label_maps, "look", lambda path: (seen.append(path), whole(path))[1])
    assert counts(scan(tmp_path)) == {LABELS: 198}
    assert len(seen) <= 3 + 32


def test_what_lies_beside_images_is_counted(tmp_path: Path) -> None:
    """Beside images/, maps and photographs are said by reason; labels/ is in use."""
    scenes.draw_opencv_folder(tmp_path, ["images/a.png", "b.png", "more/c.png", "more/d/e.png"])
    draw_maps(tmp_path, ["masks/a.png", "labels/a.png"])
    found = scan(tmp_path)
    assert [path.name for path in found.paths] == ["a.png"]
    assert counts(found) == {LABELS: 1, BESIDE: 3}


def test_only_label_maps_are_no_images(tmp_path: Path) -> None:
    """The error on a folder of masks says what was there, not only that nothing was found."""
    draw_maps(tmp_path, ["masks/a.png", "masks/b.png"])
    with pytest.raises(FileNotFoundError, match="no image in it.*2 label maps"):
        scan(tmp_path)


@pytest.mark.parametrize("place", ["", "images/"])
def test_an_earlier_prediction_is_no_image(tmp_path: Path, place: str) -> None:
    """Label maps and pictures that the toolkit wrote below the source are not its images."""
    scenes.draw_opencv_folder(tmp_path, [f"{place}a.png", "pred/pictures/a.png"])
    draw_maps(tmp_path / "pred", ["labels/a.png", "overlays/a.png"])
    for name in ("manifest.jsonl", "classes.json"):
        (tmp_path / "pred" / name).write_text("{}")
    found = scan(tmp_path)
    assert [path.name for path in found.paths] == ["a.png"]
    assert counts(found)[PREDICTED] == 3 and LABELS not in counts(found)


def test_a_folder_that_may_not_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One closed folder is said, and the images beside it are taken."""
    scenes.draw_opencv_folder(tmp_path, ["a.png", "closed/b.png"])
    entries = Path.iterdir

    def guarded(path: Path) -> Iterator[Path]:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return entries(path)

    monkeypatch.setattr(Path, "iterdir", guarded)  # a superuser may open all
    found = scan(tmp_path)
    assert [path.name for path in found.paths] == ["a.png"] and counts(found) == {CLOSED: 1}


def test_label_maps_with_suffixes_in_capitals(tmp_path: Path) -> None:
    """im0.PNG is a label map as it is an image; folders in capitals are said."""
    scenes.draw_folder(tmp_path, count=2)
    for path in (tmp_path / "labels").iterdir():
        path.rename(path.with_suffix(".PNG"))
    assert len(LabelledFolder(str(tmp_path))) == 2
    (tmp_path / "labels").rename(tmp_path / "Labels")
    with pytest.raises(FileNotFoundError, match="rename Labels: the names are images/ and labels/"):
        LabelledFolder(str(tmp_path))


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
