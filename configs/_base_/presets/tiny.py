"""For a laptop."""

sizes = dict(
    SPNN=dict(base_channels=4, stride=2, num_superpixels=32),
    FixedSuperpixels=dict(num_superpixels=32),
    LocalSPNN=dict(base_channels=4, stride=2, num_superpixels=32),
    GraphNeck=dict(channels=16, knn=6),
    ACHead=dict(base_channels=16, multipliers=(2, 2, 2, 2)),
    Net10a=dict(base_channels=8),  # the trunk of the other methods
)
