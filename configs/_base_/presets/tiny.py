"""For a laptop."""

preset = dict(
    superpixel_channels=4,
    superpixel_stride=2,
    num_superpixels=32,
    node_channels=16,
    knn=6,
    head_channels=16,
    head_multipliers=(2, 2, 2, 2),
    trunk_channels=8,
)
