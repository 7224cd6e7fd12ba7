"""What the players of the LGAN minimise.

Seed 2 prints `L_D = E[D(x, G(z,y))] + E[D(G(z,y), G(z,y))]`: two generated terms and no real pair, which D would
minimise without looking at its input. Its text says that D tells real pairs from generated ones while G fools it: the
ordinary adversarial loss. The text is what is implemented, the formula is a misprint: here
`L_D = −E[D(x, y)] + mean over the kinds of fakes of E[D(fake)]` in the linear form, with `L_G = −E[D(G(z,y))]` as the
seed has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

Form = Literal["linear", "non_saturating", "hinge"]
"""`linear` is the second article's (a critic; spectral norm bounds it), `non_saturating` that of Goodfellow et al.
2014, `hinge` that of Miyato et al. 2018."""

FORMS: dict[Form, Callable[[Tensor], Tensor]] = {
    "linear": lambda scores: -scores,
    "non_saturating": lambda scores: softplus(-scores),
    "hinge": lambda scores: relu(1 - scores),
}
"""What D loses by a score of a real pair; of a fake, by minus its score."""


def discriminator_loss(form: Form, real: Tensor, fakes: Sequence[Tensor]) -> Tensor:
    """What D minimises, a float32 scalar: high scores for real pairs [r], low ones for each kind of fake [f] alike."""
    called_real = FORMS[form]
    return called_real(real).mean() + torch.stack([called_real(-fake).mean() for fake in fakes]).mean()


def generator_loss(form: Form, fake: Tensor) -> Tensor:
    """What a generator minimises, a float32 scalar, by D's scores [f] of what it made: as printed, or softplus."""
    return softplus(-fake).mean() if form == "non_saturating" else -fake.mean()


def prior_gap(probabilities: Tensor, prior: Tensor) -> Tensor:
    """Σ_c prior_c · max(0, log(prior_c / 2 mean_c)): 0 while each class has half of its share of the guesses or more.

    It is KL(prior ‖ mean guess) with that much room, for the shares among a few bought labels are not the pool's; it
    grows without bound where a class dies out. Probabilities are float32 [n, C], the prior is [C] and positive.
    """
    mean = probabilities.mean(0).clamp(min=1e-8)
    return (prior * relu((prior / (2 * mean)).log())).sum()
