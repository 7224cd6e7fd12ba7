"""Parts one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from lit_react.augmentation.texts.base import TextAugmentation, Varied
from lit_react.core.errors import UserError


class Several(TextAugmentation):
    """Varies what the part before has varied.

    Args:
        parts: in their order, one or more.
    """

    def __init__(self, parts: list[TextAugmentation]) -> None:
        if not parts:
            raise UserError("augmentation.texts.parts: [] has none, expected one or more")
        self.parts = parts

    def vary(self, words: Sequence[Sequence[str]], kept: Sequence[Sequence[bool]], seed: int) -> list[Varied]:
        """See `TextAugmentation.vary`; each part draws with a seed of its own."""
        found = [Varied(list(row), list(range(len(row)))) for row in words]
        for number, part in enumerate(self.parts):
            stays = [[row[source] for source in one.sources] for row, one in zip(kept, found, strict=True)]
            after = part.vary([one.words for one in found], stays, seed * 1_000_003 + number)
            found = [
                Varied(new.words, [old.sources[source] for source in new.sources])
                for old, new in zip(found, after, strict=True)
            ]
        return found

    def check(self) -> None:
        """Each part's."""
        for part in self.parts:
            part.check()
