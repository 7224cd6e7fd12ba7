"""What can be bought: whole batches that strategies propose (the default), or single samples."""

from lit_react.acquisition.proposals.base import Options, Proposal, Proposals
from lit_react.acquisition.proposals.batches import DEFAULT_STRATEGIES, Batches
from lit_react.acquisition.proposals.samples import Samples

__all__ = ["DEFAULT_STRATEGIES", "Batches", "Options", "Proposal", "Proposals", "Samples"]
