import pytest
from notify_stage import open_stage


@pytest.fixture
async def stage():
    async with open_stage() as opened:
        yield opened
