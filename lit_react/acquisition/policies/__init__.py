"""What a policy may choose from: whole batches proposed by strategies, single samples, or one fixed rule."""

from lit_react.acquisition.policies.base import Policy, Proposal
from lit_react.acquisition.policies.fixed import Fixed
from lit_react.acquisition.policies.proposals import QProposals
from lit_react.acquisition.policies.samples import QSamples

__all__ = ["Fixed", "Policy", "Proposal", "QProposals", "QSamples"]
