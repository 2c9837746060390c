"""Every module of the package has a test file of its name, or its reason in one list."""

from __future__ import annotations

from pathlib import Path

from tests.test_layers import PACKAGE, ROOT

TESTED_ELSEWHERE = {
    "cli/arguments": "cli/test_cli.py",
    "cli/baselines": "cli/test_cli.py",
    "cli/browse": "cli/test_cli.py",
    "cli/config": "cli/test_cli.py",
    "cli/demo": "cli/test_cli.py",
    "cli/export": "cli/test_cli.py",
    "cli/headroom": "comparison/test_headroom.py",
    "cli/options": "cli/test_cli.py",
    "cli/plan": "cli/test_cli.py",
    "cli/predict": "cli/test_cli.py",
    "cli/prepare": "cli/test_cli.py",
    "cli/superpixels": "cli/test_cli.py",
    "cli/tables": "cli/test_cli.py",
    "cli/test": "cli/test_cli.py",
    "cli/train": "cli/test_cli.py",
    "cli/verify": "cli/test_cli.py",
    "comparison/baselines": "field/test_cases.py",
    "comparison/compose": "comparison/test_rows.py",
    "comparison/correlation": "comparison/test_report.py",
    "comparison/headroom_report": "comparison/test_headroom.py",
    "comparison/length": "comparison/test_runs.py",
    "comparison/per_image_nets": "comparison/test_per_image.py",
    "comparison/protocol": "comparison/test_report.py",
    "comparison/superpixel_methods": "comparison/test_superpixel_report.py",
    "comparison/words": "comparison/test_report.py",
    "comparison/work": "comparison/test_runs.py",
    "cost/result": "benchmarks/test_everything.py",
    "cost/runtimes": "cost/test_plan.py",
    "cost/workload": "cost/test_plan.py",
    "datasets/base": "datasets/test_randomness.py",
    "datasets/cache": "datasets/test_prepare.py",
    "datasets/coco_stuff": "datasets/test_prepare.py",
    "datasets/jitter": "datasets/test_transforms.py",
    "datasets/label_maps": "datasets/test_scan.py",
    "datasets/labels": "datasets/test_folder.py",
    "datasets/layouts/cache": "datasets/test_verify.py",
    "datasets/layouts/coco_stuff": "datasets/test_verify.py",
    "datasets/layouts/finding": "datasets/test_verify.py",
    "datasets/layouts/potsdam": "datasets/test_verify.py",
    "datasets/potsdam": "datasets/test_prepare.py",
    "datasets/prepare/build": "datasets/test_prepare.py",
    "datasets/prepare/coco_stuff": "datasets/test_prepare.py",
    "datasets/prepare/potsdam": "datasets/test_prepare.py",
    "datasets/sampler": "datasets/test_randomness.py",
    "datasets/split": "datasets/test_verify.py",
    "engine/checkpoints/backend": "engine/test_hooks.py",
    "engine/checkpoints/loading": "training/test_saved.py",
    "engine/checkpoints/newest": "reliability/test_checkpoints.py",
    "engine/checkpoints/portable": "training/test_saved.py",
    "engine/checkpoints/random_state": "reliability/test_resume.py",
    "engine/checkpoints/resume": "reliability/test_resume.py",
    "engine/checkpoints/saving": "reliability/test_checkpoints.py",
    "engine/distributed": "reliability/test_shared_decisions.py",
    "engine/hooks/clock": "engine/test_log_lines.py",
    "engine/hooks/evaluation_record": "training/test_saved.py",
    "engine/hooks/finite": "reliability/test_numbers.py",
    "engine/hooks/guard": "engine/test_watching.py",
    "engine/hooks/label_free": "engine/test_watching.py",
    "engine/hooks/memory": "engine/test_hooks.py",
    "engine/hooks/pictures": "engine/test_hooks.py",
    "engine/hooks/stage": "engine/test_schedule.py",
    "engine/interrupt": "reliability/test_signals.py",
    "engine/optim": "engine/test_schedule.py",
    "engine/rates": "engine/test_log_lines.py",
    "engine/run_card": "reliability/test_checkpoints.py",
    "engine/untrained": "configs/test_method_configs.py",
    "evaluation/hungarian": "evaluation/test_confusion.py",
    "inference/areas": "inference/test_outputs.py",
    "inference/classes": "inference/test_tiling.py",
    "inference/folder": "inference/test_outputs.py",
    "inference/network": "inference/test_tiling.py",
    "inference/runtime": "inference/test_export.py",
    "io/atomic": "reliability/test_checkpoints.py",
    "io/badfile": "io/test_images.py",
    "io/digest": "models/test_frozen_features.py",
    "io/gdal": "io/test_rows.py",
    "io/orientation": "io/test_pixels.py",
    "io/progress": "system/test_data_commands.py",
    "io/units": "io/test_pixels.py",
    "models/backbones/net10a": "models/test_trunk_and_heads.py",
    "models/backbones/timm_network": "models/test_frozen_features.py",
    "models/decode_heads/centroid_head": "models/test_trunk_and_heads.py",
    "models/decode_heads/cluster_head": "models/test_trunk_and_heads.py",
    "models/decode_heads/infoseg_head": "models/test_trunk_and_heads.py",
    "models/decode_heads/patch_pair_head": "models/test_trunk_and_heads.py",
    "models/layers/conv": "models/test_spnn.py",
    "models/layers/diagnostics": "engine/test_watching.py",
    "models/layers/dilated_depthwise": "reliability/test_numbers.py",
    "models/layers/draws": "models/test_sgseg.py",
    "models/layers/fusion": "models/test_sgseg.py",
    "models/layers/initialise": "models/test_trunk_and_heads.py",
    "models/layers/node_mlp": "models/test_graph_neck.py",
    "models/layers/over_ranks": "reliability/test_sync_ranks.py",
    "models/layers/raster_conv": "models/test_ac_head.py",
    "models/losses/base": "models/test_losses.py",
    "models/losses/graph": "models/test_losses.py",
    "models/losses/segmentation": "models/test_losses.py",
    "models/losses/superpixel": "models/test_losses.py",
    "models/preprocessor": "io/test_pixels.py",
    "models/segmentors/base": "models/test_context.py",
    "models/segmentors/context_prediction": "models/test_context.py",
    "models/segmentors/infoseg": "paper/test_methods.py",
    "models/segmentors/inmars": "paper/test_methods.py",
    "models/segmentors/pixel_kmeans": "engine/test_clustering.py",
    "models/views/jittered": "models/test_iic.py",
    "models/views/pair": "models/test_sgseg.py",
    "models/views/photometric": "models/test_sgseg.py",
    "ops/fused/blocks": "ops/test_fused.py",
    "ops/fused/changes": "ops/test_fused.py",
    "ops/fused/clustering": "ops/test_fused.py",
    "ops/fused/correlation": "ops/test_fused.py",
    "ops/fused/laplacian": "ops/test_fused.py",
    "ops/fused/local_changes": "ops/test_local_assignment.py",
    "ops/fused/local_products": "ops/test_local_assignment.py",
    "ops/fused/local_rounds": "ops/test_local_slic.py",
    "ops/fused/soft_image": "ops/test_fused.py",
    "ops/local_forms": "ops/test_local_assignment.py",
    "ops/precision": "models/test_losses.py",
    "ops/shapes": "ops/test_superpixel.py",
    "registry": "comparison/test_rows.py",
    "structures": "models/test_losses.py",
    "training/arguments": "configs/test_refused_options.py",
    "training/browse": "system/test_data_commands.py",
    "training/config": "configs/test_configs.py",
    "training/length": "configs/test_options.py",
    "training/loaders": "training/test_batch.py",
    "training/options": "configs/test_options.py",
    "training/presets": "configs/test_options.py",
    "training/run": "engine/test_scalars.py",
    "training/runner": "system/test_training.py",
    "training/settings": "configs/test_refused_options.py",
    "visualization/pictures": "inference/test_segmenter.py",
    "visualization/plots": "engine/test_log_lines.py",
}
"""Module -> the test file that proves it, by what it is a part of."""


def test_every_module_has_a_test_file() -> None:
    """tests/ROOM/test_NAME.py for sgseg/ROOM/.../NAME.py, so that what proves a file is found."""
    rooms = {path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    lacking = set()
    for path in PACKAGE:
        inside = path.relative_to(ROOT / "sgseg")
        if path.stem.startswith("__"):
            continue  # names of what lies beside, and the command line's entry
        near = [Path(*inside.parts[:n], f"test_{path.stem}.py") for n in range(len(inside.parts))]
        if not rooms.intersection(near):
            lacking.add(inside.with_suffix("").as_posix())
    unexplained = sorted(lacking - TESTED_ELSEWHERE.keys())
    assert not unexplained, "no tests/.../test_<name>.py, and no reason in the list"
    assert TESTED_ELSEWHERE.keys() <= lacking, sorted(TESTED_ELSEWHERE.keys() - lacking)


def test_what_is_named_is_there() -> None:
    """Every test file of the list exists."""
    gone = {name for name in TESTED_ELSEWHERE.values() if not (ROOT / "tests" / name).is_file()}
    assert not gone
