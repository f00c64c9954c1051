import pytest
from hypothesis import given
from hypothesis import strategies as st

from croncord.web.query import JobSearch, address, job_path, job_search, local_path, parse_search

SEARCHES = [
    ("", JobSearch()),
    ("backup", JobSearch(q="backup")),
    ("backup nightly", JobSearch(q="backup nightly")),
    ("tag:prod", JobSearch(tag="prod")),
    ("Tag:prod backup state:failed", JobSearch(q="backup", tag="prod", state="failed")),
    ("status:failed node:web-1", JobSearch(state="failed", node="web-1")),
    ('tag:"two words" x', JobSearch(q="x", tag="two words")),
    ('"two words"', JobSearch(q="two words")),
    ("paused:yes", JobSearch(state="paused")),
    ("paused:no", JobSearch()),
    ("tz:UTC", JobSearch(q="tz:UTC")),
    ("http://host:80", JobSearch(q="http://host:80")),
    ('tag:"never closed', JobSearch(tag="never closed")),
    ("tag:", JobSearch(q="tag:")),
]


@pytest.mark.parametrize(("text", "search"), SEARCHES)
def test_the_search_box_takes_words_and_filters(text, search):
    assert parse_search(text) == search


@given(st.text(max_size=80))
def test_no_search_is_an_error(text):
    parse_search(text)


words = st.text("abc-1", min_size=1, max_size=8)


@given(q=words | st.just(""), tag=words | st.just(""), state=words | st.just(""))
def test_what_was_searched_can_be_written_back_into_the_box(q, tag, state):
    search = JobSearch(q=q, tag=tag, state=state)
    assert parse_search(search.text()) == search


def test_chips_override_the_box():
    assert job_search({"q": "x state:failed", "state": "paused"}) == JobSearch(
        q="x", state="paused"
    )
    assert job_search({"q": "x state:failed", "state": ""}) == JobSearch(q="x", state="failed")


def test_an_address_keeps_what_is_set_and_drops_what_is_empty():
    assert address("/jobs", {}) == "/jobs"
    assert address("/jobs", {"q": "a b", "cursor": "x"}, cursor=None, tag="ü&") == (
        "/jobs?q=a+b&tag=%C3%BC%26"
    )


@pytest.mark.parametrize(
    "target",
    ["https://evil.example", "//evil.example", "/\\evil.example", "/a\r\nSet-Cookie: x", "", "jobs",
     "/a\tb", "javascript:alert(1)"],
)  # fmt: skip
def test_a_way_back_never_leads_to_another_site(target):
    assert local_path(target) == "/"


def test_a_way_back_within_this_site_is_kept():
    assert local_path("/jobs?q=a%20b&state=failed") == "/jobs?q=a%20b&state=failed"


def test_a_job_called_like_one_of_our_pages_is_reached_by_its_id():
    assert job_path("a b/ü?", "0123") == "/jobs/a%20b%2F%C3%BC%3F"
    assert job_path("new", "0123") == "/jobs/0123"
