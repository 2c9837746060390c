"""Table 5: the graph network's block."""

table = dict(
    title="Table 5: graph network",
    column="graph network",
    rows=[
        dict(
            label="none",
            config="sgseg_nognn",
            overrides={"model.neck": None, "model.losses.total_variation": None},
            paper=dict(coco15=35.7),
        ),
        dict(
            label="PointNet",
            config="sgseg_pointnet",
            overrides={"model.neck.block.type": "sgseg.models.PointNetBlock"},
            paper=dict(coco15=36.2),
        ),
        dict(
            label="DGCNN",
            config="sgseg_dgcnn",
            overrides={"model.neck.block.type": "sgseg.models.DGCNNBlock"},
            paper=dict(coco15=36.0),
        ),
        dict(label="DiffGCN", paper=dict(coco15=39.4)),
    ],
)
