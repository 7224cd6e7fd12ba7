"""Ledgers for tests."""

from lit_react.annotation.ledger import Ledger, Query


def opened(path, budget=10.0, fingerprint="data", **options):
    return Ledger(path, budget=budget, fingerprint=fingerprint, **options)


def query(row, split="pool", cost=1.0, policy="initial", q_value=None, **more):
    return Query(split, row, cost, policy, q_value, **more)


def without_times(ledger):
    return [{key: value for key, value in row.items() if not key.endswith("_at")} for row in ledger.purchases()]
