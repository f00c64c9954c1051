import tomllib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from croncord.cli import toml

text = st.text(st.characters(exclude_categories=["Cs"]))
value = st.one_of(
    text,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(text, max_size=3),
)
fields = st.dictionaries(
    text, st.one_of(value, st.dictionaries(text, value, max_size=3)), max_size=5
)


@given(st.lists(fields, max_size=3))
@example([{"script": "#!/bin/sh\r\necho 'x'\r\n"}])
@example([{"script": "echo '''\n"}])
@example([{"script": "echo 'a\n'"}])
@example([{"script": "\n\nfirst lines empty"}])
@example([{"script": 'a\n"""\n\\'}])
@example([{"script": "\x00\x7f\x1b\n"}])
def test_what_is_written_is_read_back_the_same(jobs):
    read = tomllib.loads(toml.document(jobs)).get("jobs", [])
    kept = [{k: v for k, v in job.items() if v != {}} for job in jobs]
    assert read == kept


def test_an_ordinary_script_is_written_as_it_is():
    assert toml.table({"script": "#!/bin/sh\necho \"$1\" \\\n  'two'\n"}) == (
        "script = '''\n#!/bin/sh\necho \"$1\" \\\n  'two'\n'''\n"
    )


def test_what_is_not_set_is_left_out():
    assert toml.table({"name": "a", "timeout_seconds": None, "environment": {}}) == 'name = "a"\n'


@pytest.mark.parametrize("key", ["a b", "x.y", "", "schlüssel", '"'])
def test_keys_that_need_quotes_get_them(key):
    assert tomllib.loads(toml.table({"environment": {key: "v"}})) == {"environment": {key: "v"}}
