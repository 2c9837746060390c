"""Accuracy against cost of the sizes that a laptop can train; not a table of the paper."""

table = dict(
    title="Presets: accuracy against cost",
    column="preset",
    cost=True,
    rows=[
        dict(
            label="tiny, head alone",
            preset="tiny",
            config="sgseg_nospnn",
            overrides={
                "model.backbone": None,
                "model.neck": None,
                "model.fusion": None,
                "model.roll_coordinates": False,
                "model.losses.clustering": None,
                "model.losses.smoothness": None,
                "model.losses.superpixel_reconstruction": None,
                "model.losses.edge": None,
                "model.losses.total_variation": None,
            },
            stages=["joint"],
        ),
        dict(label="tiny", preset="tiny"),
        dict(label="small", preset="small"),
    ],
)
