"""Users, tokens and the audit trail from the command line."""

import io
import json

import msgspec
from desks import PASSWORD


def test_a_token_for_some_jobs_and_some_acts(croncord):
    made = json.loads(
        croncord("token", "create", "ci", "--tag", "team-a", "--scope", "run", "--json")[1]
    )
    assert made["grants"] == [{"role": "operator", "tags": ["team-a"]}]
    assert (made["role"], made["scopes"]) == ("viewer", ["run"])
    shown = croncord("token", "list")[1]
    assert "operator of team-a (run only)" in shown
    assert made["prefix"] in shown
    assert made["token"] not in shown
    status, _, err = croncord("--token", made["token"], "cluster", "pause")
    assert status == 4
    assert "admin" in err


def test_a_rotated_token_is_printed_alone(croncord):
    old = croncord("token", "create", "ci")[1].strip()
    status, out, err = croncord("token", "rotate", "ci")
    assert status == 0
    assert "not shown again" in err
    assert croncord("--token", old, "job", "list")[0] == 4
    assert croncord("--token", out.strip(), "job", "list")[0] == 0


def test_a_user_is_changed_and_signed_out(croncord, node):
    node.do(node.office.add_user("zoe", "viewer"))
    status, out, _ = croncord("user", "edit", "zoe", "--role", "operator", "--tag", "team-a")
    assert (status, out) == (0, "Changed zoe, role operator of team-a.\n")
    assert "operator of team-a" in croncord("user", "list")[1]
    assert croncord("user", "edit", "zoe", "--role", "admin")[1] == "Changed zoe, role admin.\n"
    assert node.state.users["zoe"].grants == ()
    assert croncord("user", "edit", "zoe")[0] == 2
    assert croncord("user", "edit", "nobody", "--role", "admin")[0] == 5
    assert croncord("user", "sign-out", "zoe")[1] == "zoe is signed out everywhere.\n"
    assert node.state.users["zoe"].epoch == 1


def test_somebody_chooses_another_password(croncord, node, monkeypatch):
    node.do(node.office.add_user("zoe", "viewer"))

    def change(*lines):
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        return croncord("user", "password", "zoe")

    status, _, err = change("a guess", "a better password")
    assert status == 2
    assert "current_password: is not the password of that user" in err
    status, out, _ = change(PASSWORD, "a better password")
    assert (status, out) == (0, "The password of zoe is changed; their sessions have ended.\n")
    assert change(PASSWORD, "a better password")[0] == 2
    told = json.loads(croncord("audit", "--action", "user.password", "--json")[1])["items"]
    assert [(it["subject"], it["outcome"]) for it in told] == [("user:zoe", "done")]


def test_the_audit_trail_tells_who_did_what(croncord):
    croncord("token", "create", "ci")
    croncord("cluster", "pause")
    status, out, _ = croncord("audit")
    assert status == 0
    assert "cluster.pause" in out.splitlines()[1]
    assert "token:ci" in out.splitlines()[2]
    told = json.loads(croncord("audit", "--subject", "token:ci", "--json")[1])["items"]
    assert [(it["action"], it["by"]) for it in told] == [("token.create", "token:admin")]
    assert "more" in croncord("audit", "--limit", "1")[2]
    lines = croncord("audit", "--export", "ndjson", "--action", "cluster.pause")[1].splitlines()
    assert [json.loads(line)["action"] for line in lines] == ["cluster.pause"]
    assert croncord("audit", "--export", "csv")[1].startswith("index,at,by,from,")
    assert "Nothing that matches" in croncord("audit", "--by", "nobody")[2]


def test_secrets_are_sealed_with_the_present_cluster_secret(croncord, node, tmp_path):
    file = tmp_path / "value"
    file.write_text("s3cr3t-value\n")
    croncord("secret", "set", "TOKEN", "--file", str(file))
    told = "Sealed 0 anew; 1 were sealed with the present secret already.\n"
    assert croncord("secret", "reseal")[:2] == (0, told)
    secret = node.state.secrets["TOKEN"]
    node.state.secrets["TOKEN"] = msgspec.structs.replace(secret, key_id="another", sealed=b"x")
    status, out, _ = croncord("secret", "reseal")
    assert (status, out.splitlines()[1]) == (1, "Cannot be opened, set it again: TOKEN")
    report = json.loads(croncord("secret", "reseal", "--json")[1])
    assert report == {"resealed": 0, "current": 0, "unreadable": ["TOKEN"]}


def test_a_secret_is_set_from_a_file_listed_and_deleted(croncord, node, tmp_path):
    file = tmp_path / "value"
    file.write_text("s3cr3t-value\n")
    status, out, _ = croncord("secret", "set", "TOKEN", "--file", str(file), "--tag", "team-a")
    assert (status, out) == (0, "The secret TOKEN is set.\n")
    sealed = node.state.secrets["TOKEN"]
    assert node.office.desk.secrets._vault.open("TOKEN", sealed.sealed) == "s3cr3t-value"
    listed = croncord("secret", "list")[1]
    assert "TOKEN" in listed
    assert "team-a" in listed
    assert "s3cr3t" not in croncord("secret", "list", "--json")[1]
    job = tmp_path / "job.sh"
    job.write_text("true\n")
    made = croncord(
        "job", "create", "j", "--script", str(job), "--secret", "TOKEN", "--tag", "team-a"
    )
    assert made[0] == 0
    assert node.job("j").secrets == ("TOKEN",)
    status, _, err = croncord("secret", "delete", "TOKEN")
    assert (status, "used by j" in err) == (6, True)
    assert croncord("secret", "delete", "TOKEN", "--force")[0] == 0
    assert croncord("secret", "set", "TOKEN", "--file", str(tmp_path / "none"))[0] == 2
