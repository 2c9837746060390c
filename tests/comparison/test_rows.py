"""The rows of the paper's tables: their numbers, and the configs they stand for."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sgseg.comparison.compose import RECIPES, Data, compose
from sgseg.comparison.rows import Row, load_table, table_names
from sgseg.registry import MODELS
from sgseg.training import build_config
from sgseg.training.length import set_length, stages_of
from tests.configs.test_configs import flat
from tests.conftest import ROOT

CONFIGS = ROOT / "configs"
ROWS = [
    (table, row)
    for table in ("table2", "table3", "table4", "table5", "table6")
    for row in load_table(table, CONFIGS).rows
]
_FILES_OWN = ("launcher", "preset_reference", "default_hooks.pictures.interval", "model.seed")


def shipped(row: Row, data: str) -> Path:
    """The config that a row stands for; the main one where its value is the main one's."""
    path = CONFIGS / "sgseg" / f"{row.config}_{data}.py"
    return path if path.is_file() else CONFIGS / "sgseg" / f"sgseg_diffgcn_{data}.py"


def plain(config: Any) -> dict[str, Any]:
    """Dotted keys of a config with types by their names; what a table changes in all rows apart."""
    found = {}
    for key, value in flat(config.to_dict()).items():
        if not key[1:].startswith(_FILES_OWN) and not key.endswith(".root"):
            kind = key.endswith(("type", "constructor"))
            found[key] = value.rsplit(".", 1)[-1] if kind else value
    multipliers = tuple(config.model.decode_head.get("multipliers", (2, 2, 4, 8)))
    assert multipliers == (2, 2, 4, 8) and found.pop(".model.backbone.stride", 1) == 1
    assert found.pop(".model.roll_coordinates", False) is False  # spelt out in a row
    return {k: v for k, v in found.items() if ".multipliers" not in k and v is not None}


@pytest.mark.parametrize(
    ("row", "data"),
    [(row, data) for _, row in ROWS for data in row.paper],
    ids=lambda x: getattr(x, "label", x),
)
def test_rows_at_paper_size_are_the_shipped_configs(row: Row, data: str, tmp_path: Path) -> None:
    """Key by key what configs/sgseg/ says, from the file as from the overrides without it."""
    expected = build_config(shipped(row, data))
    for each in (row, replace(row, config="sgseg_diffgcn")):
        built = compose(each, "paper", Data(data, str(tmp_path)), "paper", CONFIGS)
        assert plain(built) == plain(expected)
        assert stages_of(built) == stages_of(expected)


@pytest.mark.parametrize(("table", "row"), ROWS, ids=lambda x: getattr(x, "label", x))
def test_numbers_are_those_of_the_configs(table: str, row: Row) -> None:
    """Table and config were typed apart; both name the paper's number."""
    for data, number in row.paper.items():
        path = CONFIGS / "sgseg" / f"{row.config}_{data}.py"
        named = (
            re.search(r"\(Tables? [\d and]+: ([\d.]+) %\)", path.read_text())
            if path.is_file()
            else None
        )
        if named:
            assert float(named[1]) == number, path


def test_every_table_reads() -> None:
    """The paper's seven and our own; an unknown one is answered with their names."""
    names = [*(f"table{n}" for n in (1, 2, 3, 4, 5, 6)), "presets", "table11"]
    assert table_names(CONFIGS) == names
    with pytest.raises(FileNotFoundError, match="choose table1, table2"):
        load_table("table9", CONFIGS)
    with pytest.raises(ValueError, match="stages"):
        Row("x", stages=("superpixels",))  # type: ignore[arg-type]


@pytest.mark.parametrize(("table", "row"), ROWS, ids=lambda x: getattr(x, "label", x))
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_row_builds_on_any_data(table: str, row: Row, recipe: Any, tmp_path: Path) -> None:
    """Both recipes, three and four bands: the model is built, at the size of the preset."""
    for data in ("mosaic", "potsdam"):
        root = None if data == "mosaic" else str(tmp_path)
        config = compose(row, recipe, Data(data, root), "tiny", CONFIGS, epochs=6)
        model = MODELS.build(config.model)
        assert config.train_cfg.max_epochs <= 6
        assert model.data_preprocessor.bands == (4 if data == "potsdam" else 3)
        assert config.test_evaluator.num_clusters == model.decode_head.num_classes
        assert stages_of(config)[-1][0] < config.train_cfg.max_epochs


def test_a_preset_keeps_the_ratios(tmp_path: Path) -> None:
    """At the tiny preset N is 32 for the paper's 200 and k is 6 for its 20: rows in proportion."""
    sizes = {}
    for name in ("table4", "table6"):
        composed = [
            compose(row, "practical", Data("mosaic"), "tiny", CONFIGS).model
            for row in load_table(name, CONFIGS).rows
        ]
        sizes[name] = [(m.backbone.num_superpixels, m.neck.knn) for m in composed]
    assert [n for n, _ in sizes["table4"]] == [8, 16, 32, 64]
    assert {k for _, k in sizes["table4"]} == {6}
    assert [k for _, k in sizes["table6"]] == [2, 3, 6, 12]
    for row, width in zip(load_table("presets", CONFIGS).rows, (16, 16, 32), strict=True):
        sized = compose(row, "practical", Data("mosaic"), "paper", CONFIGS).model
        assert sized.decode_head.base_channels == width  # the row's size, whatever the table's
    # Where the paper has N = 100, so has the row's proportion.
    main = compose(Row("main"), "paper", Data("coco3", str(tmp_path)), "tiny", CONFIGS)
    assert main.model.backbone.num_superpixels == 16


def test_tables_of_two_folders_have_two_names(tmp_path: Path) -> None:
    """Else the second would overwrite the first, and their runs be correlated as one data set."""
    labels = set()
    for name in ("my photos", "tiles"):
        (tmp_path / name / "labels").mkdir(parents=True)
        labels.add(Data("folder", str(tmp_path / name)).label)
    assert labels == {"folder_my_photos", "folder_tiles"} and Data("mosaic").label == "mosaic"


@pytest.mark.parametrize("epochs", [2, 3, 7, 34, 100])
def test_length_keeps_the_proportions(epochs: int) -> None:
    """Stages, rates and evaluations move with the length; each stage keeps an epoch at least."""
    config = compose(Row("main"), "practical", Data("mosaic"), "tiny", CONFIGS)
    set_length(config, epochs)
    boundary = max(1, round(2 * epochs / 34))
    assert stages_of(config) == [(0, "superpixel"), (boundary, "segmentation")]
    assert config.param_scheduler[0].begin == boundary
    assert config.train_cfg.max_epochs == epochs and config.train_cfg.val_begin == boundary + 1
    with pytest.raises(ValueError, match="too few"):
        set_length(config, 1)


def test_a_method_is_taken_up_when_its_config_appears(tmp_path: Path) -> None:
    """configs/mine/mine_mosaic.py makes a row of a method "mine" a row like any other."""
    row = Row("mine", config="mine")
    with pytest.raises(ValueError, match="no config for mosaic yet"):
        compose(row, "paper", Data("mosaic"), "tiny", CONFIGS)
    (tmp_path / "mine").mkdir()
    config = build_config(CONFIGS / "sgseg" / "sgseg_diffgcn_mosaic.py")
    config.model.decode_head.base_channels = 24  # its own size: a preset is of SGSeg
    config.dump(tmp_path / "mine" / "mine_mosaic.py")
    (tmp_path / "_base_").symlink_to(CONFIGS / "_base_")
    built = compose(row, "paper", Data("mosaic"), "tiny", tmp_path)
    assert built.model.decode_head.base_channels == 24


def test_bad_data_are_named(tmp_path: Path) -> None:
    """An unknown set, a folder where none is wanted, and a missing one."""
    with pytest.raises(ValueError, match="choose coco15"):
        Data("coco16", str(tmp_path))
    with pytest.raises(ValueError, match="takes no folder"):
        Data("mosaic", str(tmp_path))
    with pytest.raises(ValueError, match="needs its folder"):
        Data("folder")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        Data("folder", str(tmp_path / "x"))
    with pytest.raises(FileNotFoundError, match="no labels/ in it"):
        Data("folder", str(tmp_path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("table = dict(", "own.py, line 1"),
        ("x = 1", "wanted is table"),
        ("table = dict(title='t', column='c', rows=[dict(named='a')])", "own.py.*'named'"),
        ("table = dict(title='t', column='c', rows=[dict(label='a'), dict(label='a')])", "one row"),
    ],
)
def test_a_table_of_ones_own(tmp_path: Path, text: str, said: str) -> None:
    """It is read like the paper's; what is wrong with it is said with its name."""
    path = tmp_path / "own.py"
    path.write_text("table = dict(title='t', column='c', rows=[dict(label='a')])")
    table = load_table(str(path), CONFIGS)
    assert table.name == "own" and [row.label for row in table.rows] == ["a"]
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        load_table(str(path), CONFIGS)
