import msgspec
import pytest

from croncord import errors
from croncord.cli.problem import error_of


def body(status, title, detail="why", **more):
    return msgspec.json.encode({"title": title, "status": status, "detail": detail, **more})


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (errors.Malformed, 2),
        (errors.Unauthenticated, 4),
        (errors.Forbidden, 4),
        (errors.NotFound, 5),
        (errors.Conflict, 6),
        (errors.VersionChanged, 6),
        (errors.TooLarge, 2),
        (errors.NoLeader, 3),
        (errors.NotReady, 3),
        (errors.OutcomeUnknown, 3),
    ],
)
def test_a_problem_becomes_the_error_it_was_on_the_node(error, exit_code):
    read = error_of(error.status, body(error.status, error.title, hint="do this"), "http://a")
    assert type(read) is error
    assert (read.message, read.hint, read.exit_code) == ("why", "do this", exit_code)


def test_wrong_fields_are_all_kept():
    wrong = [{"field": "schedule", "message": "hour: 25"}, {"field": "foo", "message": "unknown"}]
    read = error_of(422, body(422, "Invalid value", errors=wrong), "http://a")
    assert isinstance(read, errors.Invalid)
    assert [e.field for e in read.errors] == ["schedule", "foo"]


@pytest.mark.parametrize("status", [418, 429, 500])
def test_any_other_problem_is_a_plain_failure_with_its_words(status):
    read = error_of(status, body(status, "Odd", detail="it is odd"), "http://a")
    assert (read.exit_code, read.message) == (1, "it is odd")


@pytest.mark.parametrize("content", [b"", b"<html>nginx</html>", b"[1]", b'{"a": 1}', b"\xff"])
@pytest.mark.parametrize("status", [404, 502, 503, 301])
def test_an_answer_of_another_program_is_told_as_such(status, content):
    read = error_of(status, content, "http://a:80")
    assert "http://a:80" in read.message
    assert read.hint


@pytest.mark.parametrize("listed", [None, "x", [], [1], {"field": "a"}])
def test_a_422_without_a_usable_list_still_says_why(listed):
    read = error_of(422, body(422, "Invalid value", detail="nope", errors=listed), "http://a")
    assert "nope" in read.message
