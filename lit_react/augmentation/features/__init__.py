"""Made features for the head, within a training step."""

from lit_react.augmentation.features.base import FeatureAugmentation, Step, View
from lit_react.augmentation.features.gan_bert import GanBert

__all__ = ["FeatureAugmentation", "GanBert", "Step", "View"]
