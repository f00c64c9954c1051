import pytest
from fleet import Fleet


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """Three real nodes, shared by the tests of a module that leave them running."""
    with Fleet(tmp_path_factory.mktemp("fleet")) as running:
        yield running


@pytest.fixture
def own_fleet(tmp_path):
    """Three real nodes for one test that breaks them."""
    with Fleet(tmp_path) as running:
        yield running
