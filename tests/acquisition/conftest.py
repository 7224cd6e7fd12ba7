import pytest


@pytest.fixture
def saved(tmp_path):
    """Saves a policy; the folder as text."""

    def save(policy, name="policy"):
        policy.save(tmp_path / name)
        return str(tmp_path / name)

    return save
