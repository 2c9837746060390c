"""SGSeg as the paper prints it (section 3, Tables 7-10), for RGB and 15 classes."""

from sgseg.models import (
    SPNN,
    ACHead,
    ClusteringLoss,
    DiffGCNBlock,
    EdgeLoss,
    GraphNeck,
    ImagePreprocessor,
    ImageReconstructionLoss,
    MutualInformationLoss,
    SGSeg,
    SmoothnessLoss,
    SuperpixelReconstructionLoss,
    TotalVariationLoss,
)

model = dict(
    type=SGSeg,
    # Eq 10's sigma = 10 supposes a standardised image.
    data_preprocessor=dict(type=ImagePreprocessor, bands=3, standardise="image"),
    # With --amp batch 64 fits 24 GB so, in float32 it does not; the step takes as long in float32,
    # 2 % longer in bfloat16.
    backbone=dict(type=SPNN, num_superpixels=200, base_channels=64, checkpoint=True),
    neck=dict(
        type=GraphNeck,
        channels=64,
        num_blocks=4,
        knn=20,
        block=dict(type=DiffGCNBlock),
    ),
    decode_head=dict(type=ACHead, num_classes=15, base_channels=64),
    losses=dict(
        clustering=dict(type=ClusteringLoss, weight=1.0, balance=2.0),
        smoothness=dict(type=SmoothnessLoss, weight=2.0, sigma=10.0),  # alpha
        superpixel_reconstruction=dict(type=SuperpixelReconstructionLoss, weight=5.0),  # beta
        edge=dict(type=EdgeLoss, weight=1.0),  # eta, Table 12's gamma
        total_variation=dict(type=TotalVariationLoss, weight=1.0),
        mutual_information=dict(type=MutualInformationLoss, weight=1.0, half_window=0),
        image_reconstruction=dict(type=ImageReconstructionLoss, weight=1.0),
    ),
)

# A variant with half of these N or k has half of a preset's.
preset_reference = dict(num_superpixels=200, knn=20)
