"""Table 4: number of superpixels N, as the paper counts them; a preset keeps the ratios.

The paper prints 4 classes for COCO-Stuff3; its rows stand under coco3 (3 classes, the rest
ignored), see docs/paper.md.
"""

table = dict(
    title="Table 4: number of superpixels",
    column="N",
    rows=[
        dict(
            label=str(n),
            config=f"sgseg_diffgcn_n{n}",
            overrides={"model.backbone.num_superpixels": n},
            paper=dict(coco15=coco15, coco3=coco3),
        )
        for n, coco15, coco3 in (
            (50, 36.7, 73.4),
            (100, 37.9, 74.6),
            (200, 39.4, 74.5),
            (400, 38.5, 74.0),
        )
    ],
)
