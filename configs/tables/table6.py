"""Table 6: neighbours k of a node, as the paper counts them; a preset keeps the ratios."""

table = dict(
    title="Table 6: neighbours of a node",
    column="k",
    rows=[
        dict(
            label="5",
            config="sgseg_diffgcn_k5",
            overrides={"model.neck.knn": 5},
            paper=dict(coco15=36.5),
        ),
        dict(
            label="10",
            config="sgseg_diffgcn_k10",
            overrides={"model.neck.knn": 10},
            paper=dict(coco15=37.4),
        ),
        dict(
            label="20",
            config="sgseg_diffgcn_k20",
            overrides={"model.neck.knn": 20},
            paper=dict(coco15=39.4),
        ),
        dict(
            label="40",
            config="sgseg_diffgcn_k40",
            overrides={"model.neck.knn": 40},
            paper=dict(coco15=39.0),
        ),
    ],
)
