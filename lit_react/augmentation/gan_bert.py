"""GAN-BERT: the classifier also learns to tell real features from made ones."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from lit_react.augmentation.part import Fit, Part, Step
from lit_react.core.bounds import expect


class GanBert(Part):
    """Semi-supervised GAN on the head's inputs (Croce, Castellucci & Basili 2020).

    A generator G makes features from noise; the discriminator D is encoder and head, whose k classes get one more,
    *fake*. In place of a further output its logit is fixed at 0, which loses nothing (Salimans et al. 2016, section 5):
    p_fake = 1 / (1 + Z) with Z = Σ exp(logit), and prediction is as without. The losses are

        L_D = cross-entropy(labeled) − E log(1 − p_fake(real)) − E log p_fake(G(z))
        L_G = −E log(1 − p_fake(G(z))) + mean squared difference of E real and E G(z)

    of which the first term is the task's own loss. Real rows are the labeled and the unlabeled ones. Other than in the
    paper, D has no hidden layer between the features and the logits, so that the fitted model stays the task's own;
    the features that G matches are the head's inputs.

    In the published port for PyTorch both losses go backward through features that are not detached, so each network
    also gets the other's gradients. Here D sees made features detached (real ones are not: they train the encoder), and
    G's step, an AdamW of its own within `loss`, leaves D's parameters and their gradients alone.

    Args:
        learning_rate: of G.
        noise: dimensions of the noise, uniform in [0, 1).
        hidden: width of G's hidden layer; None: that of the features.
        dropout: in G's hidden layer.
        weight: factor of the two terms that are added to D's loss.
    """

    reads_unlabeled: ClassVar[bool] = True
    one_process: ClassVar[bool] = True

    def __init__(
        self,
        learning_rate: float = 5e-5,
        noise: int = 100,
        hidden: int | None = None,
        dropout: float = 0.1,
        weight: float = 1.0,
    ) -> None:
        expect("augmentation.features.learning_rate", learning_rate, above=0)
        expect("augmentation.features.noise", noise, at_least=1)
        expect("augmentation.features.hidden", 1 if hidden is None else hidden, at_least=1)
        expect("augmentation.features.dropout", dropout, at_least=0, at_most=0.95)
        expect("augmentation.features.weight", weight, at_least=0)
        self.learning_rate, self.noise, self.hidden = learning_rate, noise, hidden
        self.dropout, self.weight = dropout, weight

    def begin(self, fit: Fit) -> None:
        """Make a new generator, on the fit's device; the processes of a distributed fit would have one each."""
        super().begin(fit)
        hidden = self.hidden or fit.num_features
        first, last = self._linear(self.noise, hidden), self._linear(hidden, fit.num_features)
        self.network = nn.Sequential(first, nn.LeakyReLU(0.2), nn.Dropout(self.dropout), last)
        self._optimizer = torch.optim.AdamW(self.network.parameters(), lr=self.learning_rate)
        self._taken_for_real = torch.zeros(2, device=fit.device)
        self._steps = 0

    def _linear(self, inputs: int, outputs: int) -> nn.Linear:
        layer = skip_init(nn.Linear, inputs, outputs, device=self.generator.device)
        nn.init.kaiming_uniform_(layer.weight, a=0.2, generator=self.generator)
        nn.init.zeros_(layer.bias)
        return layer

    def loss(self, step: Step) -> Tensor:
        """What D's loss adds to the task's; one step of G on the way."""
        passes = [step.labeled] if step.unlabeled is None else [step.labeled, step.unlabeled]
        real = torch.cat([view.features for view in passes])
        with torch.autocast(real.device.type, enabled=False):
            size = len(real), self.noise
            noise = torch.rand(size, generator=self.generator, device=real.device, dtype=torch.float32)
            fakes = self.network(noise)
        real_evidence = torch.cat([view.logits for view in passes]).float().logsumexp(1)
        fake_evidence = step.head(fakes.detach().to(real.dtype)).float().logsumexp(1)
        self._improve(fakes, real.detach().float(), step)
        taken = [evidence.detach().sigmoid().mean() for evidence in (real_evidence, fake_evidence)]
        self._taken_for_real += torch.stack(taken)
        self._steps += 1
        return self.weight * discriminator_loss(real_evidence, fake_evidence)

    def _improve(self, fakes: Tensor, real: Tensor, step: Step) -> None:
        """One step of G; gradients are asked for its parameters only, so none reaches another's `grad`."""
        evidence = step.head(fakes.to(step.labeled.features.dtype)).float().logsumexp(1)
        loss = generator_loss(evidence, real, fakes)
        parameters = list(self.network.parameters())
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient
        self._optimizer.step()

    def report(self) -> dict[str, float]:
        """`d_real` and `d_fake`: mean 1 − p_fake of real and of made features, over the fit's steps."""
        if not self._steps:
            return {}
        real, fake = (self._taken_for_real / self._steps).tolist()
        return {"d_real": real, "d_fake": fake}


def discriminator_loss(real_evidence: Tensor, fake_evidence: Tensor) -> Tensor:
    """−E log(1 − p_fake(real)) − E log p_fake(made), a scalar, of log Z of real and made features, float32 [n], [m]."""
    return F.softplus(-real_evidence).mean() + F.softplus(fake_evidence).mean()


def generator_loss(fake_evidence: Tensor, real: Tensor, fakes: Tensor) -> Tensor:
    """−E log(1 − p_fake(made)) + feature matching, a scalar; evidence is log Z, features float32 [n, h] and [m, h]."""
    matching = (real.mean(0) - fakes.mean(0)).square().mean()
    return F.softplus(-fake_evidence).mean() + matching
