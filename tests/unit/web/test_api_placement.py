LIMITS = "/api/v1/cluster/label-limits"


async def test_a_job_shows_which_nodes_match_now_and_can_be_sent_back(door):
    await door.office.job(target={"labels": {"disk": "n2"}})
    job = await door.get("/api/v1/jobs/backup")
    assert job["placement"] == {
        "matching": ["n2"],
        "available": ["n2"],
        "total": 2,
        "text": "1 of 2 nodes matches now",
    }
    assert (await door.get("/api/v1/jobs"))["items"][0]["placement"] is None
    assert (await door.ask("PUT", "/api/v1/jobs/backup", json=job)).status == 200


async def test_limits_per_label_are_set_by_an_admin_and_shown(door):
    body = {"limits": {"disk=n2": 0}}
    assert (await door.ask("PUT", LIMITS, json=body, role="operator")).status == 403
    assert (await door.ask("PUT", LIMITS, json=body)).status == 200
    assert await door.get(LIMITS, role="viewer") == body
    await door.office.job(target={"labels": {"disk": "n2"}})
    job = await door.get("/api/v1/jobs/backup")
    assert job["placement"]["available"] == []
    for wrong in ({"disk": 1}, {"=x": 1}, {"a=b": -1}):
        fields = await door.wrong_fields("PUT", LIMITS, json={"limits": wrong})
        assert fields == [f"limits.{next(iter(wrong))}"]
