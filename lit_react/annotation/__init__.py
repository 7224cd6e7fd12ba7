"""Who labels and for what money: oracles, the ledger, costs."""
