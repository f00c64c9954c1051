import pytest
from page_visitor import check_html, visiting


@pytest.fixture
async def visitor(office):
    async with visiting(office) as visitor:
        yield visitor


async def test_an_admin_gets_the_command_for_a_new_machine_once(visitor):
    await visitor.sign_in()
    assert "Add a machine" in await visitor.text("/cluster")
    page = await (await visitor.post("/cluster/join-token")).text()
    check_html(page)
    assert "CRONCORD_JOIN_TOKEN=join_" in page
    again = await visitor.text("/cluster/join-token")
    assert "CRONCORD_JOIN_TOKEN" not in again


async def test_an_admin_removes_a_machine_from_its_page(visitor, office):
    await visitor.sign_in()
    page = await visitor.text("/nodes")
    check_html(page)
    assert "Remove n2 from the cluster?" in page
    assert (await visitor.post("/nodes/n2/remove")).status == 303
    assert list(office.replica.state.nodes) == ["n1"]


async def test_nobody_else_adds_or_removes_machines(visitor, office):
    await visitor.sign_in("operator")
    for page in ("/nodes", "/cluster"):
        text = await visitor.text(page)
        assert "Add a machine" not in text
        assert "/remove" not in text
    for path in ("/nodes/n2/remove", "/cluster/join-token"):
        assert (await visitor.post(path)).status == 403
    assert len(office.replica.state.nodes) == 2
