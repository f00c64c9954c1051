import pytest
from desks import Office, fast_directory
from web_clients import door_to


@pytest.fixture
async def office():
    with fast_directory() as path:
        office = await Office.open(path)
        yield office
        await office.close()


@pytest.fixture
async def door(office):
    async with door_to(office) as door:
        yield door
