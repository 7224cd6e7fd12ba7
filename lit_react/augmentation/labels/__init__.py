"""Labels that nobody was paid for: who puts them on unlabeled rows."""

from lit_react.augmentation.labels.base import GeneratedLabels, LabeledPool, LabelGenerator
from lit_react.augmentation.labels.label_gan.generator import LabelGAN
from lit_react.augmentation.labels.self_training import SelfTraining

__all__ = ["GeneratedLabels", "LabelGAN", "LabelGenerator", "LabeledPool", "SelfTraining"]
