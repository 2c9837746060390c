"""Accuracy against cost of the sizes that a laptop can train; not a table of the paper."""

table = dict(
    title="Presets: accuracy against cost",
    column="preset",
    cost=True,
    rows=[
        dict(
            label="tiny, head alone",
            preset="tiny",
            change=dict(backbone=None, neck=None),
            stages=["joint"],
        ),
        dict(label="tiny", preset="tiny"),
        dict(label="small", preset="small"),
    ],
)
