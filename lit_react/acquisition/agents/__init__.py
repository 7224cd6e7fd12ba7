"""Who chooses among proposals: a learned network, or a rule that is set beforehand."""

from lit_react.acquisition.agents.albl import ALBL
from lit_react.acquisition.agents.base import Agent, Decision, Purchase, Situation
from lit_react.acquisition.agents.double_dqn import DoubleDQN
from lit_react.acquisition.agents.fixed import OneRule, Schedule
from lit_react.acquisition.agents.tailor import TAILOR

__all__ = ["ALBL", "TAILOR", "Agent", "Decision", "DoubleDQN", "OneRule", "Purchase", "Schedule", "Situation"]
