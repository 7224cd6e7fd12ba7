"""The Q-learning agent: Boltzmann policy over proposals, double-DQN targets, an ensemble that knows its doubt."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lit_react.acquisition.agents.base import Agent, Decision, Purchase, Situation
from lit_react.acquisition.agents.guard import Guard
from lit_react.acquisition.agents.replay import ReplayBuffer, Transition
from lit_react.acquisition.features import SAMPLE_FEATURES, STATE_FEATURES
from lit_react.acquisition.pretrained import SHIPPED, PretrainedPolicy
from lit_react.acquisition.proposals import Options, Proposals
from lit_react.acquisition.q_network import QNetwork
from lit_react.core.bounds import expect
from lit_react.core.errors import UserError

POINTS = 100.0
"""The network learns in points: hundredths of the metric."""


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: for networks this small, waking the others costs more than they do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class Draw:
    """What was drawn among options."""

    taken: list[int]  # indices of the options, in the order drawn
    q: Tensor  # float32 [a], ensemble mean of Q(s, a), in points
    probabilities: Tensor  # float32 [a], π(a|s); 0 for options that the evidence does not admit
    alpha: float  # inverse temperature it was drawn with


class DoubleDQN(Agent):
    """Learns Q(s, a) from transitions and draws from `softmax(α Q)`.

    The policy begins at the default rule and leaves it on evidence only: beside the default rule's options it admits
    those whose advantage over them, less `doubt` standard deviations of the ensemble, is positive; none before
    `deviation_starts` transitions, and none while the guard is closed since leaving the default rule did not pay.

    Args:
        pretrained: `shipped`, the network that comes with the package; a folder that `simulate` wrote; None: a network
            that knows nothing.
        gamma: discount γ.
        alpha_start: inverse temperature α per point while no budget is spent …
        alpha_end: … and when it is spent; in between linear.
        doubt: standard deviations of the ensemble that an advantage must exceed.
        deviation_starts: transitions before another option than the default rule's may be taken; None: 0 with a
            pretrained network, else 20, more than a run of ordinary length has.
        updates_per_round: gradient steps per round; 0: the network stays as it is.
        batch_size: transitions per gradient step.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        tau: the target network's step towards the network after each update.
        members: size of the ensemble; a pretrained network has its own.
        hidden: width of the hidden layers; a pretrained network has its own.
        seed: of the weights of a network that knows nothing; what is drawn during a run is the run's own seed's.
    """

    def __init__(
        self,
        pretrained: str | None = "shipped",
        gamma: float = 0.7,
        alpha_start: float = 10.0,
        alpha_end: float = 50.0,
        doubt: float = 5.0,
        deviation_starts: int | None = None,
        updates_per_round: int = 10,
        batch_size: int = 32,
        learning_rate: float = 1e-4,
        weight_decay: float = 0.0,
        tau: float = 0.05,
        members: int = 4,
        hidden: int = 64,
        seed: int = 0,
    ) -> None:
        for name, count in (("batch_size", batch_size), ("members", members), ("hidden", hidden)):
            expect(f"acquisition.agent.{name}", count, at_least=1)
        for name, rate, most in (("gamma", gamma, 1.0), ("tau", tau, 1.0), ("weight_decay", weight_decay, None)):
            expect(f"acquisition.agent.{name}", rate, at_least=0, at_most=most)
        expect("acquisition.agent.learning_rate", learning_rate, above=0)
        expect("acquisition.agent.updates_per_round", updates_per_round, at_least=0)
        self.pretrained, self.gamma = pretrained, gamma
        self.learning_rate, self.weight_decay, self.seed = learning_rate, weight_decay, seed
        self.alpha_start, self.alpha_end = alpha_start, alpha_end
        self.doubt, self.updates_per_round, self.batch_size, self.tau = doubt, updates_per_round, batch_size, tau
        self.generator = torch.Generator().manual_seed(seed)
        if pretrained is None:
            self.q_network = QNetwork(
                len(STATE_FEATURES), len(SAMPLE_FEATURES), members=members, hidden=hidden, generator=self.generator
            )
            self.expected_gain = torch.zeros(len(STATE_FEATURES) + 1)
            self.deviation_starts = 20 if deviation_starts is None else deviation_starts
        else:
            policy = PretrainedPolicy.load(SHIPPED if pretrained == "shipped" else Path(pretrained))
            self.q_network, self.expected_gain = policy.q_network.train(), policy.expected_gain
            self.deviation_starts = deviation_starts or 0
        self.members = len(self.q_network.weights[0])
        self.target_network = copy.deepcopy(self.q_network).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.q_network.parameters(), lr=learning_rate, weight_decay=weight_decay)
        self.replay_buffer = ReplayBuffer()
        self.guard = Guard()

    # ---- as an agent ----------------------------------------------------------------------------------------

    def begin(self, proposals: Proposals, seed: int) -> None:
        """Draw from the run's seed."""
        self.generator.manual_seed(seed)

    def decide(self, situation: Situation) -> Decision:
        """Draw among the proposals."""
        drawn = self.draw(situation.state, situation.options, spent=situation.spent)
        decision = situation.take(*drawn.taken)
        values = [value / POINTS for value in drawn.q.tolist()]
        decision.values = [values[index] for index in drawn.taken for _ in situation.proposals[index].rows]
        decision.numbers = {
            "temperature": drawn.alpha,
            "guard_closed": self.guard.closed,
            "q_mean": float(drawn.q.mean()) / POINTS,
            "q_taken": float(drawn.q[drawn.taken].mean()) / POINTS,
        }
        if situation.offered_by.whole_batches:
            rounded = (drawn.q / POINTS).tolist()
            names = [proposal.name for proposal in situation.proposals]
            decision.numbers["proposals"] = {name: round(q, 6) for name, q in zip(names, rounded, strict=True)}
        return decision

    def observe(self, purchase: Purchase, reward: float, after: Situation | None) -> None:
        """Store the transition; a reward that is known up to e points weighs 1 / (1 + e²), see `learn`."""
        next_state, next_options = (purchase.state, None) if after is None else (after.state, after.options)
        self.record(
            purchase.state,
            purchase.samples,
            reward,
            next_state,
            next_options,
            left_default=purchase.left_default,
            weight=1 / (1 + (purchase.reward_error * POINTS) ** 2),
        )

    # ---- acting ---------------------------------------------------------------------------------------------

    def alpha(self, spent: float) -> float:
        """α when the share `spent` of the budget is gone."""
        return self.alpha_start + (self.alpha_end - self.alpha_start) * min(max(spent, 0.0), 1.0)

    @torch.no_grad()
    @_one_thread()
    def draw(self, state: Tensor, options: Options, *, spent: float) -> Draw:
        """Draw `options.takes` options without replacement from `softmax(α Q)` over the admitted ones.

        The state is float32 [S]; `spent` is the share of the budget for acquired labels that is spent.
        """
        q = self.q_network(state[None], options.features[None], options.mask[None])[:, 0]
        admitted = self._admitted(q[:, None], options.default[None])[0]
        alpha, mean = self.alpha(spent), q.mean(0)
        logits = torch.where(admitted, alpha * mean, -torch.inf)
        probabilities = logits.softmax(0)
        gumbel = -torch.empty_like(logits).exponential_(generator=self.generator).log()
        taken = (logits + gumbel).topk(min(options.takes, int(admitted.sum()))).indices.tolist()
        return Draw(taken, mean, probabilities, alpha)

    def _admitted(self, q: Tensor, default: Tensor) -> Tensor:
        """The options that may be taken, bool [b, a]: the default rule's, and those that are better beyond doubt.

        Values are float32 [members, b, a]; `default`, bool [b, a], says which options are the default rule's.
        """
        if len(self.replay_buffer) < self.deviation_starts or self.guard.closed:
            return default
        of_default = (q * default).sum(-1, keepdim=True) / default.sum(-1, keepdim=True).clamp(min=1)
        advantage = q - of_default
        return default | (advantage.mean(0) - self.doubt * advantage.std(0, unbiased=False) > 0)

    # ---- learning -------------------------------------------------------------------------------------------

    def record(
        self,
        state: Tensor,
        action: Tensor,
        reward: float,
        next_state: Tensor,
        next_options: Options | None,
        *,
        left_default: bool = False,
        weight: float = 1.0,
    ) -> None:
        """Store what a purchase brought; `next_options` None where the run ends.

        States are float32 [S]; the action, float32 [k, F], is what was bought; the reward is in units of the metric.
        """
        expected = float(self.expected_gain[:-1] @ state + self.expected_gain[-1])
        if weight > 0.5:
            self.guard.record(reward * POINTS, expected, left_default=left_default)
        nothing = Options(action[None, :0], torch.zeros(1, 0, dtype=torch.bool), torch.ones(1) > 0, 1)
        options = next_options or nothing
        self.replay_buffer.add(
            Transition(
                state=state,
                action=action,
                reward=reward * POINTS,
                discount=self.gamma if next_options else 0.0,
                next_state=next_state,
                next_options=options.features,
                next_mask=options.mask,
                next_default=options.default,
                next_takes=options.takes,
                members=torch.rand(self.members, generator=self.generator) < 0.8,
                weight=weight,
            )
        )

    @_one_thread()
    def learn(self) -> dict[str, float]:
        """`updates_per_round` steps towards the double-DQN target; the mean TD loss; nothing without any.

        Transitions that together weigh less than one say less than one reward that was measured: none is made then.
        The network chooses the next options among those that may be taken (batch-constrained, Fujimoto et al. 2019),
        the target network values them (van Hasselt et al. 2016); the value of taking several single samples is the
        mean of the best `next_takes`.
        """
        if self.updates_per_round == 0 or sum(t.weight for t in self.replay_buffer.transitions) < 1:
            return {}
        losses = []
        for _ in range(self.updates_per_round):
            batch = self.replay_buffer.sample(self.batch_size, self.generator)
            with torch.no_grad():
                choosing = self.q_network(batch["next_state"], batch["next_options"], batch["next_mask"])
                valuing = self.target_network(batch["next_state"], batch["next_options"], batch["next_mask"])
                allowed = batch["next_mask"].any(-1) & self._admitted(choosing, batch["next_default"])
                ranks = torch.where(allowed, choosing, -torch.inf).argsort(-1, descending=True).argsort(-1)
                taken = (ranks < batch["next_takes"][:, None]) & allowed
                next_value = (valuing * taken).sum(-1) / taken.sum(-1).clamp(min=1)
                td_target = batch["reward"] + batch["discount"] * next_value
            old_value = self.q_network(batch["state"], batch["action"][:, None], batch["action_mask"][:, None])[..., 0]
            errors = F.smooth_l1_loss(old_value, td_target, reduction="none")
            weights = batch["members"].T * batch["weight"].float()
            loss = (errors * weights).sum() / batch["members"].sum().clamp(min=1)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            for target, online in zip(self.target_network.parameters(), self.q_network.parameters(), strict=True):
                target.data.lerp_(online.data, self.tau)
            losses.append(float(loss.detach()))
        return {"td_loss": sum(losses) / len(losses)}

    # ---- state ----------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Networks, optimiser, replay buffer, guard and generator; a copy, which learning on does not change."""
        return {
            "expected_gain": self.expected_gain,
            "q_network": copy.deepcopy(self.q_network.state_dict()),
            "target_network": copy.deepcopy(self.target_network.state_dict()),
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
            "replay_buffer": self.replay_buffer.state_dict(),
            "guard": self.guard.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`; a `UserError` where it is of a network of another size."""
        if state["q_network"]["weights.0"].shape != self.q_network.weights[0].shape:
            raise UserError(
                "acquisition.agent: the run was begun with a network of another size; restore `pretrained`, `members` "
                "and `hidden`, or choose another --rounds.folder"
            )
        self.expected_gain = state["expected_gain"]
        self.q_network.load_state_dict(state["q_network"])
        self.target_network.load_state_dict(state["target_network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.replay_buffer.load_state_dict(state["replay_buffer"])
        self.guard.load_state_dict(state["guard"])
        self.generator.set_state(state["generator"])
