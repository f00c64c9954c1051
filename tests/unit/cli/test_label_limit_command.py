import json


def test_limits_of_labels_are_set_listed_and_removed(croncord, node):
    assert croncord("cluster", "label-limit") == (0, "", "No label has a limit.\n")
    status, out, _ = croncord("cluster", "label-limit", "gpu=a100", "4")
    assert (status, out.split()) == (0, ["LABEL", "RUNS", "AT", "ONCE", "gpu=a100", "4"])
    croncord("cluster", "label-limit", "zone=b", "0")
    assert dict(node.state.label_limits) == {"gpu=a100": 4, "zone=b": 0}
    croncord("cluster", "label-limit", "gpu=a100", "--remove")
    told = json.loads(croncord("cluster", "label-limit", "--json")[1])
    assert told == {"limits": {"zone=b": 0}}


def test_what_is_no_limit_is_told(croncord):
    assert croncord("cluster", "label-limit", "gpu", "4")[0] == 2
    assert croncord("cluster", "label-limit", "gpu=a100")[0] == 2
    assert croncord("cluster", "label-limit", "--remove")[0] == 2
    status, _, err = croncord("cluster", "label-limit", "gpu=a100", "--remove")
    assert status == 2
    assert "has no limit" in err
