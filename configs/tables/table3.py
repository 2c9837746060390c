"""Table 3: what superpixels and their graph add to the head."""

head_alone = dict(
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
)

table = dict(
    title="Table 3: components",
    column="components",
    rows=[
        dict(
            label="head alone",
            **head_alone,
            paper=dict(coco15=31.1),
        ),
        dict(
            label="+ superpixels",
            config="sgseg_nognn",
            overrides={"model.neck": None, "model.losses.total_variation": None},
            paper=dict(coco15=35.7),
        ),
        dict(label="+ graph", paper=dict(coco15=39.4)),
    ],
)
