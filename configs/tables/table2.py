"""Table 2: training scheme. The boundary between its stages is the recipe's."""

table = dict(
    title="Table 2: training scheme",
    column="scheme",
    rows=[
        dict(
            label="disjoint",
            config="sgseg_diffgcn_disjoint",
            stages=["superpixel", "segmentation"],
            paper=dict(coco15=33.7),
        ),
        dict(
            label="end to end",
            config="sgseg_diffgcn_e2e",
            stages=["joint"],
            paper=dict(coco15=36.6),
        ),
        dict(
            label="superpixels, then end to end",
            stages=["superpixel", "joint"],
            paper=dict(coco15=39.4),
        ),
    ],
)
