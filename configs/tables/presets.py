"""Accuracy against cost of the sizes that a laptop can train; not a table of the paper."""

from mmengine.config import read_base

with read_base():
    from .table3 import head_alone

table = dict(
    title="Presets: accuracy against cost",
    column="preset",
    cost=True,
    rows=[
        dict(
            label="tiny, head alone",
            preset="tiny",
            **head_alone,
        ),
        dict(label="tiny", preset="tiny"),
        dict(label="small", preset="small"),
    ],
)
