"""Table 4: number of superpixels N, as the paper counts them; a preset keeps the ratios.

The paper prints 4 classes for COCO-Stuff3; its rows stand under coco3 (3 classes, the rest
ignored), see docs/paper.md.
"""

table = dict(
    title="Table 4: number of superpixels",
    column="N",
    rows=[
        dict(
            label="50",
            config="sgseg_diffgcn_n50",
            overrides={"model.backbone.num_superpixels": 50},
            paper=dict(coco15=36.7, coco3=73.4),
        ),
        dict(
            label="100",
            config="sgseg_diffgcn_n100",
            overrides={"model.backbone.num_superpixels": 100},
            paper=dict(coco15=37.9, coco3=74.6),
        ),
        dict(
            label="200",
            config="sgseg_diffgcn_n200",
            overrides={"model.backbone.num_superpixels": 200},
            paper=dict(coco15=39.4, coco3=74.5),
        ),
        dict(
            label="400",
            config="sgseg_diffgcn_n400",
            overrides={"model.backbone.num_superpixels": 400},
            paper=dict(coco15=38.5, coco3=74.0),
        ),
    ],
)
