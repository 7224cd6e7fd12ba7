"""Where the sentences of a text begin."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

SENTENCE_END = re.compile(
    r"""(?: [.!?…]+ ["'”’»)\]]* (?=\s)          # Latin script: a mark, closing quotes, then a space
          | [!?]+ (?=[\u3400-\u9fff])           # typed with a Latin keyboard between Chinese characters
          | [。!?;…]+ [”’」』)》]*            # Chinese marks need no space
          | \n )                                # a line never goes on in the next sentence
        \s*""",
    re.VERBOSE,
)


def sentence_starts(text: str) -> NDArray[np.int64]:
    """Character offsets at which sentences begin, int64 [s], the first is 0.

    Abbreviations ("Mr. Smith") end a sentence too: such pieces are still consecutive, which is all that next-sentence
    prediction asks. A list of sentences is given as lines: every newline ends a sentence, so unwrap texts that were
    wrapped at a fixed width.
    """
    ends = (match.end() for match in SENTENCE_END.finditer(text))
    return np.array([0, *(end for end in ends if end < len(text))], dtype=np.int64)
