"""For a laptop with time."""

sizes = dict(
    SPNN=dict(base_channels=8, stride=2, num_superpixels=64),
    FixedSuperpixels=dict(num_superpixels=64),
    LocalSPNN=dict(base_channels=8, stride=2, num_superpixels=64),
    GraphNeck=dict(channels=32, knn=8),
    ACHead=dict(base_channels=32, multipliers=(2, 2, 2, 2)),
    Net10a=dict(base_channels=16),
)
