"""Total variation of the projected node features (Eq 17)."""

from __future__ import annotations

from torch import Tensor

from ...ops.image import total_variation
from ...registry import MODELS
from ...structures import SegState
from .base import SegLoss


@MODELS.register_module()
class TotalVariationLoss(SegLoss):
    """Total variation of the projected node features (Eq 17).

    Args:
        weight: 1 in Eq 22. The features are unbounded, so the network can lower this term by
            shrinking them; the logged ``projected_norm`` shows whether it does.
    """

    def term(self, state: SegState) -> Tensor:
        """Eq 17, mean over the batch."""
        if state.projected is None:
            raise ValueError(
                "TotalVariationLoss needs projected superpixel features, but the model has no "
                "backbone or is in stage 'head', which leaves them out: remove the loss from the "
                "config, give the model a backbone, or choose other stages"
            )
        return total_variation(state.projected)
