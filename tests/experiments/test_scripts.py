"""The scripts behind tables of the documents, on grids whose differences are known."""

import json

from grids import printed


def test_the_share_of_the_reachable_gain_is_of_means_and_by_the_rows_that_the_oracle_did_not_see(tmp_path) -> None:
    gains = {"random": (0, 0), "margin": (1, 2), "BoSS": (4, 8)}  # on unseen rows, and on seen ones
    for rule, (unseen, seen) in gains.items():
        for seed in range(2):
            path = tmp_path / "one" / rule / f"seed_{seed:02d}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            curves = {"unseen": [0.5, 0.5 + unseen / 100, 0.5, 0.5 + unseen / 100], "seen": [0.6 + seen / 100] * 4}
            path.write_text(json.dumps(curves))
    options = ("--folder", tmp_path, "--data", "one", "--rules", "margin", "--seeds", 2)
    lines = [line.split() for line in printed("reachable_gain.py", *options).splitlines()]
    assert ["margin", "50.5", "+0.5", "±", "0.0", "0.25", "0.25", "0.25"] in lines
    assert ["BoSS", "52.0", "+2.0", "±", "0.0", "1.00", "1.00", "1.00"] in lines
