PATH = "/api/v1/jobs/backup/backfill"
RANGE = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-03T00:00:00Z"}


async def test_a_backfill_is_started_listed_and_cancelled(door):
    await door.office.job(schedule="0 */6 * * *")
    answer = await door.ask("POST", PATH, json=RANGE, role="operator")
    assert answer.status == 202, await answer.text()
    made = await answer.json()
    assert (made["waiting"], made["running"]) == (8, 0)
    assert (made["since"], made["until"]) == (
        "2026-01-01T00:00:00.000Z",
        "2026-01-02T18:00:00.000Z",
    )
    assert (await door.get(PATH, role="viewer"))["items"] == [made]
    runs = (await door.get("/api/v1/runs?trigger=backfill"))["items"]
    assert {run["backfill"] for run in runs} == {made["id"]}
    answer = await door.ask("DELETE", f"{PATH}/{made['id']}")
    assert (answer.status, (await answer.json())["waiting"]) == (202, 0)
    assert (await door.problem("DELETE", f"{PATH}/{made['id']}"))[0] == 404


async def test_the_same_idempotency_key_makes_one_backfill(door):
    await door.office.job(schedule="0 */6 * * *")
    for _ in range(2):
        await door.ask("POST", PATH, json=RANGE, headers={"Idempotency-Key": "again"})
    assert [b["waiting"] for b in (await door.get(PATH))["items"]] == [8]


async def test_what_cannot_be_backfilled_is_told_by_field(door):
    await door.office.job(schedule="0 */6 * * *")
    wrong = [
        ({"until": "2199-01-01T00:00:00Z"}, ["until"]),
        ({"since": "2026-01-04T00:00:00Z"}, ["since"]),
        ({"since": "2026-01-01T01:00:00Z", "until": "2026-01-01T02:00:00Z"}, ["since"]),
        ({"since": "2020-01-01T00:00:00Z"}, ["until"]),
        ({"max_parallel": 0}, ["max_parallel"]),
    ]
    for change, fields in wrong:
        assert await door.wrong_fields("POST", PATH, json={**RANGE, **change}) == fields
    assert (await door.ask("POST", PATH, json=RANGE, role="viewer")).status == 403
