"""Labels that came with the data, and what a later sitting says of them."""

import pandas as pd

from lit_react.annotation.ledger import Ledger, Query
from lit_react.annotation.oracles import GoldOracle
from lit_react.data.datamodule import PoolDataModule
from lit_react.run.purchases import answer_known, tell_of_changes
from lit_react.tasks import SentenceClassification


def prepared(labels):
    frame = pd.DataFrame({"text": list("abcd"), "label": labels})
    return PoolDataModule(frame).prepare(SentenceClassification().task)


def test_a_label_that_changed_in_the_data_after_it_was_bought_is_told(tmp_path, caplog) -> None:
    data, oracle = prepared(["x", "y", "x", "y"]), GoldOracle()
    with Ledger(tmp_path / "ledger.sqlite", budget=9, fingerprint=data.fingerprint) as ledger:
        ledger.ask(0, [Query("pool", row, 1.0, "initial") for row in (0, 1, 2)])
        answer_known(ledger, oracle, data, 0)
        tell_of_changes(ledger, data)
        tell_of_changes(ledger, prepared([None, "y", "x", "x"]))  # taken out, or not bought
        assert not caplog.records
        tell_of_changes(ledger, prepared(["x", "x", "y", "y"]))
    assert "data: 'b' had another label when it was bought (and 1 more): the run keeps that one" in caplog.text
