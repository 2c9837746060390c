"""Table 11: milliseconds an image, on an RTX 3090 in the paper; nothing is trained for it."""

table = dict(
    title="Table 11: run times",
    column="method",
    timed=True,
    rows=[
        dict(
            label="AC",
            config="sgseg_nospnn",  # the head alone, AC's part of the model
            paper=dict(train=62.81, inference=9.89),
        ),
        dict(label="SGSeg", paper=dict(train=76.34, inference=12.91)),
    ],
)
