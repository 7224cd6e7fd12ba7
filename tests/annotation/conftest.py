"""A ledger, and where it lies."""

import pytest
from ledgers import opened


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "ledger.sqlite"


@pytest.fixture
def ledger(path):
    with opened(path) as ledger:
        yield ledger
