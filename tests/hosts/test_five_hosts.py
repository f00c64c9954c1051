"""Five hosts lose two and go on, lose a third and say so, and come back."""

import json
import re

import pytest
from hosts_faults import all_at_once
from hosts_promises import broken_promises, prepare
from hosts_story import others
from lab import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def host_count():
    return 5


@pytest.fixture(scope="module")
def ticking(story):
    return prepare(story)


@pytest.fixture(scope="module")
def cookie(story):
    """A browser's session, which every node honours."""
    lab = story.lab
    token = lab.token_file.read_text().strip()
    answer = lab.curl(lab.hosts[0], "/login", "--data-urlencode", f"token={token}")
    assert answer.status == 303, answer
    return answer.headers["set-cookie"].partition(";")[0]


def test_five_hosts_serve_as_one(story):
    lab = story.lab
    for host in lab.hosts:
        assert lab.is_ready(host)
        seen = lab.get(host, "/api/v1/cluster")
        assert (seen["voters"], seen["majority"], seen["survives"]) == (5, 3, 2)


def test_two_may_fail_and_a_third_is_said_everywhere(story, ticking, cookie):
    lab = story.lab
    with story.clients():
        unlucky = [lab.leader(), story.rng.choice(others(lab, lab.leader()))]
        left = [host for host in lab.hosts if host not in unlucky]
        all_at_once(lab, "kill", unlucky)
        wait_for(lambda: creates(lab, left[0], "with-three"), 60, "three to go on")
        for host in left:
            assert creates(lab, host, f"by-{host.name}")
            assert lab.get(host, "/api/v1/jobs/with-three?stale=allow")["name"] == "with-three"
        story.say(f"{unlucky[0].name} and {unlucky[1].name} down: the others go on")

        third = story.rng.choice(left)
        left.remove(third)
        all_at_once(lab, "kill", [third])
        for host in left:
            wait_for(lambda h=host: says_no_quorum(lab, h, cookie), 60, f"{host.name} to say it")
            story.say(f"{third.name} down as well: {host.name} says it in API, CLI and page")
        all_at_once(lab, "boot", [*unlucky, third])
        for host in lab.hosts:
            wait_for(lambda h=host: lab.is_ready(h), 180, f"{host.name} to serve again")
        for host in lab.hosts:
            assert creates(lab, host, f"again-by-{host.name}")
    assert broken_promises(story, ticking) == []


def creates(lab, host, name):
    body = {"name": name, "script": "true\n", "schedule": "@manual"}
    return lab.call(host, "POST", "/api/v1/jobs", body).status in (201, 409)


def says_no_quorum(lab, host, cookie):
    """Whether a node says it, in each of its voices; once the API does, the others have to."""
    seen = lab.call(host, "GET", "/api/v1/cluster")
    if seen.status != 200 or seen.json()["quorum"] or seen.json()["leader"]:
        return False
    assert "croncord-stale" in seen.headers
    assert lab.call(host, "GET", "/healthz").status == 200
    assert lab.call(host, "GET", "/readyz").status == 503

    refused = lab.call(host, "POST", "/api/v1/jobs", {"name": "never", "script": "true\n"})
    assert refused.status == 503, refused
    assert "retry-after" in refused.headers
    problem = json.loads(refused.body)
    assert "leader" in problem["title"] + problem["detail"], problem
    assert problem["hint"]

    said = lab.ssh(host, "croncord cluster status; echo exit $?")
    assert "No leader (" in said, said
    assert "nothing is launched and nothing can be changed" in said
    assert said.rstrip().endswith("exit 3")

    for path in ("/", "/jobs", "/nodes", "/cluster"):
        page = lab.curl(host, path, "--header", f"Cookie: {cookie}")
        text = re.sub(r"<[^>]+>", "", page.body.decode())
        assert page.status == 200, (path, page)
        assert "No leader since" in text, (path, text)
        assert "nothing new starts; changes are refused" in text
    return True
