import pytest
from wire_ends import SECRET, End


@pytest.fixture
def ends():
    made = []

    def make(name, secret=SECRET, tls=None, **options):
        made.append(End(name, secret, tls, **options))
        return made[-1]

    yield make
    for end in made:
        end.transport.destroy()
