"""SGSeg as it works on real pictures in minutes: every departure from the paper is a key here.

docs/guide/recipes.md gives the reason and the measurement behind each.
"""

from mmengine.config import read_base

from sgseg.models import GatedFusion, PhotometricViews

with read_base():
    from .sgseg import *  # noqa: F403

model.merge(
    dict(
        # One scale for all images: what is light or green in one is so in the next.
        data_preprocessor=dict(standardise="set"),
        # Regions, not appearance classes spread over the image; sure of their pixels.
        backbone=dict(
            num_superpixels=32,
            base_channels=4,
            with_coords=True,
            logit_norm=True,
            temperature=0.2,
            checkpoint=False,  # small enough as it is
        ),
        # Regions know their place; rolled, the two readings do not share it.
        roll_coordinates=True,
        # The graph follows place; a node's class cannot be read off its place.
        neck=dict(channels=16, knn=6, graph_on="xy", use_position=False),
        decode_head=dict(base_channels=16, multipliers=(2, 2, 2, 2)),
        # Each reading has its own light, superpixels and graph; node features enter normalised.
        views=dict(type=PhotometricViews, contrast=0.3, brightness=0.3, band_gain=0.1, cells=4),
        fusion=dict(type=GatedFusion, init=0.1),
        # Read as in training: the unmasked pass has other statistics.
        predict_orders=(1, 2, 3, 4, 5, 6, 7, 8),
        # A class has to hold over a neighbourhood, and all classes are to be used.
        losses=dict(
            mutual_information=dict(half_window=6, balance=1.5),
            # Small superpixels inside a texture come from a strong reconstruction; sigma 10 sees
            # an edge at every blade of grass.
            smoothness=dict(weight=4.0, sigma=0.1),
            superpixel_reconstruction=dict(weight=0.1),
        ),
    )
)
# Rebuilding the image keeps the head on brightness; total variation shrinks the node features.
model.losses.pop("image_reconstruction")
model.losses.pop("total_variation")
# Edges inside a texture are no borders of superpixels; what it does here was not measured apart.
model.losses.pop("edge")

preset_reference = dict(num_superpixels=32, knn=6)
