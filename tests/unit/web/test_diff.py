import pytest

from croncord.web.diff import LINES_MAX, compare, script_lines

BEFORE = {"script": "a\n", "tags": ["x"], "retries": {"count": 0, "backoff": 1.0}, "paused": False}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"tags": ["x", "y"]}, [("tags", "x", "x\ny")]),
        ({"tags": []}, [("tags", "x", "")]),
        ({"retries": {"count": 2, "backoff": 1}}, [("retries.count", "0", "2")]),
        ({"paused": True}, [("paused", "no", "yes")]),
        ({"unknown": 1}, []),
        ({}, []),
    ],
)
def test_fields_that_differ_are_told_as_text(changed, told):
    assert compare(BEFORE, BEFORE | changed).changes == told


def test_variables_are_told_as_lines():
    before = {"script": "", "environment": {"A": "1"}}
    after = {"script": "", "environment": {"A": "2", "B": ""}}
    assert compare(before, after).changes == [("environment", "A=1", "A=2\nB=")]


def test_a_script_is_told_by_its_lines_with_a_few_around_them():
    before = "".join(f"{n}\n" for n in range(20))
    after = before.replace("10\n", "ten\n").replace("12\n", "")
    lines = script_lines(before, after)
    assert [line.text for line in lines if line.kind == "del"] == ["10", "12"]
    assert [line.text for line in lines if line.kind == "add"] == ["ten"]
    assert [line.text for line in lines if line.kind == "same"] == [
        "7",
        "8",
        "9",
        "11",
        "13",
        "14",
        "15",
    ]
    assert script_lines(before, before) == []


def test_lines_that_look_like_a_diff_are_text():
    lines = script_lines("--- a\n+++ b\n", "--- a\n@@ c\n")
    assert [(line.kind, line.text) for line in lines[1:]] == [
        ("same", "--- a"),
        ("del", "+++ b"),
        ("add", "@@ c"),
    ]


def test_a_wholly_different_script_is_cut():
    old, new = ("".join(f"{word} {n}\n" for n in range(5000)) for word in ("a", "b"))
    assert len(script_lines(old, new)) == LINES_MAX + 1
