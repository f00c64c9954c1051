async def test_a_version_is_restored_over_the_api(door):
    await door.office.job(description="first")
    await door.ask("PATCH", "/api/v1/jobs/backup", json={"description": "second"})
    path = "/api/v1/jobs/backup/versions/1/restore"
    assert (await door.ask("POST", path, role="viewer")).status == 403
    answer = await door.ask("POST", path, role="operator")
    assert answer.status == 200
    assert (await answer.json())["description"] == "first"
    items = (await door.get("/api/v1/jobs/backup/versions"))["items"]
    assert items[0]["diff"] == [
        {"field": "description", "before": "second", "after": "first", "lines": None}
    ]
    for wrong in ("99", "one", "-1"):
        answer = await door.problem("POST", f"/api/v1/jobs/backup/versions/{wrong}/restore")
        assert answer[0] == 404
