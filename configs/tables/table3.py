"""Table 3: what superpixels and their graph add to the head."""

table = dict(
    title="Table 3: components",
    column="components",
    rows=[
        dict(
            label="head alone",
            config="sgseg_nospnn",
            change=dict(backbone=None, neck=None),
            stages=["joint"],
            paper=dict(coco15=31.1),
        ),
        dict(
            label="+ superpixels",
            config="sgseg_nognn",
            change=dict(neck=None),
            paper=dict(coco15=35.7),
        ),
        dict(label="+ graph", config="sgseg_diffgcn", paper=dict(coco15=39.4)),
    ],
)
