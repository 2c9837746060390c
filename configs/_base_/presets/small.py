"""For a laptop with time."""

preset = dict(
    superpixel_channels=8,
    superpixel_stride=2,
    num_superpixels=64,
    node_channels=32,
    knn=8,
    head_channels=32,
    head_multipliers=(2, 2, 2, 2),
    trunk_channels=16,
)
