"""Tables 7-10: 12.5 million weights, seconds a step on a CPU."""

preset = dict(
    superpixel_channels=64,
    superpixel_stride=1,
    num_superpixels=200,
    node_channels=64,
    knn=20,
    head_channels=64,
    head_multipliers=None,  # (2, 2, 4, 8) for SGSeg, (2, 4, 8, 16) for AC
    trunk_channels=64,
)
