"""Made features for the head, within a training step."""

from lit_react.augmentation.features.base import FeatureAugmentation, Step, View
from lit_react.augmentation.features.feature_space import Gaussians, Smote
from lit_react.augmentation.features.gan_bert import GanBert
from lit_react.augmentation.features.mixup import Mixup

__all__ = ["FeatureAugmentation", "GanBert", "Gaussians", "Mixup", "Smote", "Step", "View"]
