import json


def saved_thrice(croncord, tmp_path):
    script = tmp_path / "a.sh"
    script.write_text("echo one\n")
    croncord("job", "create", "backup", "--schedule", "0 2 * * *", "--script", str(script))
    croncord("job", "edit", "backup", "--schedule", "0 3 * * *")
    script.write_text("echo two\n")
    croncord("job", "edit", "backup", "--script", str(script))


def test_versions_are_listed_with_what_each_changed(croncord, node, tmp_path):
    saved_thrice(croncord, tmp_path)
    status, out, err = croncord("job", "versions", "backup")
    assert (status, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert [line[0] for line in lines] == ["VERSION", "3", "2", "1"]
    assert [lines[1][-1], lines[2][-1]] == ["script", "schedule"]
    assert len(json.loads(croncord("job", "versions", "backup", "--json")[1])) == 3


def test_what_a_version_changed_is_shown_line_by_line(croncord, node, tmp_path):
    saved_thrice(croncord, tmp_path)
    assert "  -echo one\n  +echo two\n" in croncord("job", "versions", "backup", "3")[1]
    assert "  - 0 2 * * *\n  + 0 3 * * *\n" in croncord("job", "versions", "backup", "2")[1]
    assert "The oldest that is kept." in croncord("job", "versions", "backup", "1")[1]
    status, _, err = croncord("job", "versions", "backup", "9")
    assert status == 5
    assert "Those kept are 3, 2, 1." in err


def test_an_earlier_version_is_restored_as_the_newest(croncord, node, tmp_path):
    saved_thrice(croncord, tmp_path)
    status, out, _ = croncord("job", "restore", "backup", "1")
    assert status == 0
    assert out.startswith("Restored version 1 of backup. Next run: ")
    assert node.job("backup").script == "echo one\n"
    assert node.state.job_named("backup").version == 4
    assert croncord("job", "restore", "backup", "9")[0] == 5
