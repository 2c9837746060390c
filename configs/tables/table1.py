"""Table 1: pixel accuracy of all methods on four data sets."""

table = dict(
    title="Table 1: methods",
    column="method",
    rows=[
        dict(
            label="Random CNN",
            config="random_cnn",
            baseline="untrained",
            paper=dict(coco15=19.4, coco3=37.3, potsdam=28.3, potsdam3=38.2),
        ),
        dict(
            label="K-Means",
            baseline="kmeans",
            paper=dict(coco15=14.1, coco3=52.2, potsdam=35.3, potsdam3=45.7),
        ),
        dict(
            label="Doersch",
            config="doersch",
            paper=dict(coco15=23.1, coco3=47.5, potsdam=37.2, potsdam3=49.6),
        ),
        dict(
            label="Isola",
            config="isola",
            paper=dict(coco15=24.3, coco3=54.0, potsdam=44.9, potsdam3=63.9),
        ),
        dict(
            label="IIC",
            config="iic",
            paper=dict(coco15=27.7, coco3=72.3, potsdam=45.4, potsdam3=65.1),
        ),
        dict(
            label="AC",
            config="ac",
            paper=dict(coco15=30.8, coco3=72.9, potsdam=49.3, potsdam3=66.5),
        ),
        dict(
            label="InMARS",
            config="inmars",
            paper=dict(coco15=31.0, coco3=73.1, potsdam=47.3, potsdam3=70.1),
        ),
        dict(
            label="InfoSeg",
            config="infoseg",
            paper=dict(coco15=38.8, coco3=73.8, potsdam=57.3, potsdam3=71.6),
        ),
        dict(
            label="SGSeg",
            paper=dict(coco15=39.4, coco3=74.6, potsdam=57.7, potsdam3=71.8),
        ),
    ],
)
