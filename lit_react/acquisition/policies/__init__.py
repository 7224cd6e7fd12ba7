"""What a policy may choose from: whole batches proposed by strategies, single samples, or one fixed rule.

`Schedule`, `ALBL` and `TAILOR` are baselines of the literature: they choose by themselves, the agent only hands on.
"""

from lit_react.acquisition.policies.albl import ALBL
from lit_react.acquisition.policies.base import Policy, Proposal
from lit_react.acquisition.policies.fixed import Fixed
from lit_react.acquisition.policies.proposals import QProposals
from lit_react.acquisition.policies.samples import QSamples
from lit_react.acquisition.policies.schedule import Schedule
from lit_react.acquisition.policies.tailor import TAILOR

__all__ = ["ALBL", "TAILOR", "Fixed", "Policy", "Proposal", "QProposals", "QSamples", "Schedule"]
