"""Table 6: neighbours k of a node, as the paper counts them; a preset keeps the ratios."""

table = dict(
    title="Table 6: neighbours of a node",
    column="k",
    rows=[
        dict(
            label=str(k),
            config=f"sgseg_diffgcn_k{k}",
            overrides={"model.neck.knn": k},
            paper=dict(coco15=accuracy),
        )
        for k, accuracy in ((5, 36.5), (10, 37.4), (20, 39.4), (40, 39.0))
    ],
)
