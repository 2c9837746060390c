"""Tables 7-10: 12.5 million weights, seconds a step on a CPU."""

sizes = dict(
    SPNN=dict(base_channels=64, stride=1, num_superpixels=200),
    FixedSuperpixels=dict(num_superpixels=200),
    LocalSPNN=dict(base_channels=64, stride=1, num_superpixels=200),
    GraphNeck=dict(channels=64, knn=20),
    ACHead=dict(base_channels=64),  # multipliers stay: (2, 2, 4, 8) for SGSeg, (2, 4, 8, 16) for AC
    Net10a=dict(base_channels=64),
)
