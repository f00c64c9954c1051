import msgspec
import pytest

from croncord.cli.plan import plan
from croncord.errors import Invalid
from croncord.model import script_sha256
from croncord.service.views import spec_json
from croncord.validation import read_job


def listed(version=1, **fields):
    """A job as the API lists it."""
    spec = read_job({"name": "backup", "script": "true\n", **fields})
    job = spec_json(spec, script=False)
    cluster_adds = {"id": "01", "version": version, "state": "waiting", "next_run": None}
    return msgspec.json.decode(
        msgspec.json.encode(job | cluster_adds | {"script_sha256": script_sha256(spec.script)})
    )


def wanted(**fields):
    return read_job({"name": "backup", "script": "true\n", **fields})


def the_change(spec, job):
    (change,) = plan([spec], {"backup": job}, prune=False)
    return change


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {}),
        ({}, {"timezone": "UTC", "overlap": "skip", "target": {"strategy": "least_loaded"}}),
        ({"schedule": ["0 3 * * *"]}, {"schedule": " 0 3 * * * "}),
        ({"start_at": "2027-01-01T00:00:00Z"}, {"start_at": "2027-01-01T01:00:00+01:00"}),
        ({"schedule": ["0 3 * * *", "0 4 * * *"]}, {"schedule": ["0 3 * * *", "0 4 * * *"]}),
        ({"timeout_seconds": None}, {}),
    ],
)
def test_the_same_job_said_in_other_words_is_unchanged(before, after):
    assert the_change(wanted(**after), listed(**before)).kind == "unchanged"


@pytest.mark.parametrize(
    ("before", "after", "differences"),
    [
        ({"timezone": "Europe/Berlin"}, {}, [("timezone", "Europe/Berlin", "UTC")]),
        ({}, {"timeout_seconds": 60}, [("timeout_seconds", None, 60)]),
        (
            {"environment": {"A": "1", "B": "2"}},
            {"environment": {"A": "1", "B": "3", "C": "4"}},
            [("environment.B", "2", "3"), ("environment.C", None, "4")],
        ),
        ({}, {"target": {"every_node": True}}, [("target.every_node", False, True)]),
    ],
)
def test_an_update_names_each_field_that_differs(before, after, differences):
    change = the_change(wanted(**after), listed(version=7, **before))
    assert (change.kind, change.version) == ("update", 7)
    assert [(d.field, d.before, d.after) for d in change.differences] == differences


def test_another_script_is_a_difference_though_lists_leave_scripts_out():
    change = the_change(wanted(script="false\n"), listed())
    assert [d.field for d in change.differences] == ["script"]


def test_jobs_that_no_file_describes_are_deleted_only_when_asked():
    current = {"backup": listed(), "zeta": listed(version=3), "alpha": listed(version=4)}
    assert [c.kind for c in plan([wanted()], current, prune=False)] == ["unchanged"]
    pruned = plan([wanted()], current, prune=True)
    assert [(c.kind, c.name, c.version) for c in pruned[1:]] == [
        ("delete", "alpha", 4),
        ("delete", "zeta", 3),
    ]


def test_a_job_described_twice_is_refused():
    with pytest.raises(Invalid, match="backup is described twice"):
        plan([wanted(), wanted()], {}, prune=False)
