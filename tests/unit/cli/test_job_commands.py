import json
import stat
import sys

import pytest

from croncord.model import Limits


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "backup.sh"
    path.write_bytes(b"#!/bin/sh\necho done\n")
    return str(path)


def test_a_job_is_created_shown_and_listed(croncord, node, script):
    status, out, _ = croncord(
        "job", "create", "backup", "--schedule", "30 2 * * *", "--tz", "Europe/Berlin",
        "--script", script, "--tag", "prod", "--tag", "db", "--env", "A=1=2", "--env", "B=",
        "--label", "disk=n1", "--node", "n1", "--timeout", "1h30m", "--grace", "5", "--retries",
        "2", "--retry-delay", "10s", "--misfire", "skip", "--overlap", "queue_one", "--every-node",
        "--description", "nightly", "--owner", "ops", "--log-bytes", "4096", "--dst", "once",
        "--start-at", "2026-01-01", "--paused", "--memory-bytes", "268435456", "--processes", "20",
        "--cpu-percent", "150", "--open-files", "64", "--on-limit", "kill", "--umask", "027",
        "--nice", "5", "--ionice", "idle",
    )  # fmt: skip
    assert (status, out) == (0, "Created backup. It is not due by itself.\n")
    spec = node.job("backup")
    assert spec.schedule == ("30 2 * * *",)
    assert spec.environment == {"A": "1=2", "B": ""}
    assert (spec.target.labels, spec.target.nodes) == ({"disk": "n1"}, ("n1",))
    assert spec.target.every_node is True
    assert (spec.timeout_seconds, spec.kill_grace_seconds) == (5400, 5)
    assert (spec.retries.count, spec.retries.delay_seconds) == (2, 10)
    assert (spec.misfire.policy, spec.misfire.window_seconds) == ("skip", 3600)
    assert (spec.overlap, spec.dst, spec.limits.log_bytes) == ("queue_one", "once", 4096)
    assert spec.limits == Limits(
        log_bytes=4096,
        on_limit="kill",
        memory_bytes=2**28,
        processes=20,
        open_files=64,
        cpu_percent=150,
    )
    assert (spec.umask, spec.nice, spec.ionice) == ("027", 5, "idle")
    assert spec.tags == ("prod", "db")
    assert spec.paused

    _, out, _ = croncord("job", "list")
    heading, row = out.splitlines()
    assert heading.split("  ")[0] == "NAME"
    assert row.startswith("backup")
    assert "Europe/Berlin" in row
    assert "paused" in row

    _, out, _ = croncord("job", "show", "backup")
    assert out.startswith("backup is paused.\n")
    assert "A=1=2" in out
    assert croncord("job", "show", "backup", "--script")[1] == "#!/bin/sh\necho done\n"


def test_a_created_job_tells_when_it_is_due_next(croncord, script):
    _, out, _ = croncord("job", "create", "a", "--schedule", "@every 1h", "--script", script)
    assert out.startswith("Created a. Next run: 20")
    assert "(in " in out


def test_a_script_may_come_from_standard_input(croncord, node, script, monkeypatch):
    with open(script) as source:  # noqa: PTH123  # a real file descriptor, as a shell gives
        monkeypatch.setattr("sys.stdin", source)
        assert croncord("job", "create", "a", "--script", "-")[0] == 0
    assert node.job("a").script == "#!/bin/sh\necho done\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--schedule", "61 * * * *"], "schedule: "),
        (["--tz", "Mars/Olympus"], "timezone: 'Mars/Olympus' is not a known time zone"),
        (["--user", "a b"], "user: must be the name of a user"),
        (["--working-directory", "tmp"], "working_directory: must be an absolute path"),
        (["--retries", "1000"], "retries.count: must be a whole number from 0 to 100"),
    ],
)
def test_a_wrong_value_is_told_by_its_field_with_status_2(croncord, script, options, said):
    status, out, err = croncord("job", "create", "a", "--script", script, *options)
    assert (status, out) == (2, "")
    assert said in err


def test_all_wrong_values_are_told_at_once(croncord, script):
    options = ["--schedule", "61 * * * *", "--tz", "Mars"]
    _, _, err = croncord("job", "create", "a", "--script", script, *options)
    assert err.startswith("error: 2 values are wrong\n  timezone: ")
    assert "\n  schedule: " in err


@pytest.mark.parametrize(
    ("content", "said"), [(None, "cannot read"), (b"\x7fELF\xff\xfe", "byte 5 is not UTF-8")]
)
def test_a_script_that_cannot_be_used_is_refused(croncord, tmp_path, content, said):
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    status, _, err = croncord("job", "create", "a", "--script", str(path))
    assert status == 2
    assert said in err


def test_a_name_that_is_taken_is_a_conflict(croncord, script):
    croncord("job", "create", "a", "--script", script)
    status, _, err = croncord("job", "create", "a", "--script", script)
    assert status == 6
    assert err.startswith("error: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["job", "show", "ghost"],
        ["job", "edit", "ghost", "--owner", "me"],
        ["job", "delete", "ghost"],
        ["job", "pause", "ghost"],
        ["job", "run", "ghost"],
        ["job", "history", "ghost"],
        ["job", "export", "ghost"],
        ["run", "show", "ghost"],
        ["run", "log", "ghost"],
        ["run", "kill", "ghost"],
        ["node", "show", "ghost"],
        ["node", "drain", "ghost"],
        ["token", "revoke", "ghost"],
        ["user", "remove", "ghost"],
    ],
)
def test_what_does_not_exist_ends_with_status_5(croncord, arguments):
    status, out, err = croncord(*arguments)
    assert (status, out) == (5, "")
    assert err.startswith("error: ")


def test_options_of_edit_change_just_their_fields(croncord, node, script):
    croncord(
        "job", "create", "a", "--script", script, "--env", "A=1", "--tag", "x", "--owner", "me"
    )
    status, out, _ = croncord(
        "job", "edit", "a", "--env", "B=2", "--tag", "y", "--schedule", "@daily", "--no-paused"
    )
    assert status == 0
    assert out.startswith("Changed a. Next run: ")
    spec = node.job("a")
    assert spec.environment == {"A": "1", "B": "2"}
    assert (spec.tags, spec.owner) == (("y",), "me")


@pytest.fixture
def editor(tmp_path, monkeypatch):
    """Let $EDITOR be a program that changes the text by a sed command."""

    def use(sed):
        program = tmp_path / "my editor"
        program.write_text(f'#!/bin/sh\ncp "$1" {tmp_path}/seen.toml\nsed -i \'{sed}\' "$1"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("EDITOR", f"'{program}'")
        monkeypatch.delenv("VISUAL", raising=False)
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", None)
        return tmp_path / "seen.toml"

    return use


def test_edit_opens_the_whole_job_in_the_editor(croncord, node, script, editor, tmp_path):
    croncord("job", "create", "a", "--script", script, "--retries", "1")
    seen = editor('s/^timezone = .*/timezone = "Europe\\/Paris"/; s/^name = "a"/name = "b"/')
    status, out, _ = croncord("job", "edit", "a")
    assert (status, out.split(".")[0]) == (0, "Changed b")
    assert "script = '''\n#!/bin/sh\necho done\n'''" in seen.read_text()
    assert node.job("b").timezone == "Europe/Paris"
    assert node.job("b").retries.count == 1
    assert list(tmp_path.glob("croncord-*")) == []


def test_a_text_that_was_left_alone_changes_nothing(croncord, node, script, editor):
    croncord("job", "create", "a", "--script", script)
    editor("")
    status, out, err = croncord("job", "edit", "a")
    assert (status, out, err) == (0, "", "Nothing was changed.\n")
    assert next(iter(node.state.jobs.values())).version == 1


@pytest.mark.parametrize(
    ("sed", "said"),
    [
        ('s/^timezone = .*/timezone = "Mars"/', "timezone: 'Mars' is not a known time zone"),
        ("s/^name = .*/name = /", "this is not TOML"),
        ("s/^overlap =/overlep =/", "did you mean overlap?"),
    ],
)
def test_a_text_that_is_refused_is_kept(croncord, script, editor, tmp_path, sed, said):
    croncord("job", "create", "a", "--script", script)
    editor(sed)
    status, _, err = croncord("job", "edit", "a")
    assert status == 2
    assert said in err
    (kept,) = tmp_path.glob("croncord-*.toml")
    assert f"Your text is kept in {kept}." in err


def test_an_edit_does_not_undo_what_somebody_else_saved_meanwhile(croncord, node, script, editor):
    croncord("job", "create", "a", "--script", script)
    other = f"{sys.executable} -m croncord job edit a --owner somebody >/dev/null"
    editor(f'1e {other}\ns/^timezone = .*/timezone = "Europe\\/Paris"/')
    status, _, err = croncord("job", "edit", "a")
    assert status == 6
    assert "kept in" in err
    assert (node.job("a").owner, node.job("a").timezone) == ("somebody", "UTC")


def test_an_editor_that_cannot_be_started_is_told(croncord, script, monkeypatch):
    croncord("job", "create", "a", "--script", script)
    monkeypatch.setenv("VISUAL", "/nowhere/editor")
    status, _, err = croncord("job", "edit", "a")
    assert status == 2
    assert "hint: Set EDITOR." in err


def test_pause_resume_and_delete(croncord, node, script):
    croncord("job", "create", "a", "--script", script, "--schedule", "@daily")
    assert croncord("job", "pause", "a")[1] == "Paused a. It is not due by itself.\n"
    assert node.job("a").paused
    assert croncord("job", "resume", "a")[1].startswith("Resumed a. Next run: ")
    assert croncord("job", "delete", "a")[1] == "Deleted a.\n"
    assert node.state.jobs == {}


def test_lists_filter_on_the_node_and_can_be_json(croncord, script):
    for name, tag in (("alpha", "x"), ("beta", "y"), ("gamma", "y")):
        croncord("job", "create", name, "--script", script, "--tag", tag)
    _, out, _ = croncord("job", "list", "--tag", "y", "--sort=-name", "--json")
    assert [job["name"] for job in json.loads(out)] == ["gamma", "beta"]
    _, out, _ = croncord("job", "list", "--limit", "2", "--json")
    assert len(json.loads(out)) == 2
    assert len(croncord("job", "list", "BETA", "y")[1].splitlines()) == 2
    status, out, err = croncord("job", "list", "zeta")
    assert (status, out, err) == (0, "", "No jobs match.\n")


def test_any_name_works_from_end_to_end(croncord, script):
    for name in ("a b", "50% off?", "#1", "日本", "a&b=c"):
        assert croncord("job", "create", name, "--script", script)[0] == 0
        assert json.loads(croncord("job", "show", name, "--json")[1])["name"] == name
        assert croncord("job", "delete", name)[0] == 0
