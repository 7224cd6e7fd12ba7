"""The label-generating GAN of seed 2, in the space of the pool's embeddings."""

from lit_react.augmentation.labels.label_gan.generator import LabelGAN, TrainedGAN

__all__ = ["LabelGAN", "TrainedGAN"]
