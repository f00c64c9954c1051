import pytest
from desks import Office, fast_directory


@pytest.fixture
async def office():
    with fast_directory() as path:
        office = await Office.open(path)
        yield office
        await office.close()
