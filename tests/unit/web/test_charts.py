from xml.etree import ElementTree as ET

import pytest

from croncord.lifecycle import RunState
from croncord.web import charts

SVG = "{http://www.w3.org/2000/svg}"


def rows(*states, seconds=None):
    """Newest first, as the service gives them."""
    return [
        {"id": f"r{index}", "state": state, "duration_ms": seconds and seconds[index] * 1000}
        for index, state in enumerate(states)
    ]


def parse(svg):
    return ET.fromstring(str(svg).replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1))  # noqa: S314  # our own


def test_a_strip_says_in_words_what_it_shows():
    svg = parse(charts.strip(rows("failed", "succeeded", "succeeded")))
    assert svg.get("aria-label") == "Last 3 runs: 2 succeeded, 1 failed"
    assert parse(charts.strip([])).get("aria-label") == "No runs yet"


def test_the_newest_run_is_at_the_right_edge_however_few_there_are():
    svg = parse(charts.strip(rows("failed"), cells=10))
    failed = svg.find(f"{SVG}path[@class='s-failed']")
    assert failed.get("d").startswith("M54 ")
    assert svg.get("viewBox") == "0 0 59 20"


def test_every_state_has_a_shape_of_its_own():
    shapes = {state: charts.cell({"id": "r", "state": state}, "") for state in RunState}
    assert len({(shape.shape, shape.outlined) for shape in shapes.values()}) == len(RunState)


def test_neighbours_that_succeeded_are_one_line():
    svg = parse(charts.strip(rows("succeeded", "succeeded", "failed", "succeeded"), cells=4))
    assert svg.find(f"{SVG}path[@class='sd']").get("d") == "M0 14h5M12 14h11"


def test_a_strip_of_thirty_is_small_and_only_the_newest_are_shown():
    svg = charts.strip(rows(*["succeeded"] * 500))
    assert "Last 30 runs" in svg
    assert len(svg) < 300


def test_hostile_states_do_not_break_out_of_the_picture():
    svg = charts.strip([{"id": "r", "state": '"><script>'}])
    assert "<script>" not in svg


def test_durations_start_at_zero_and_clip_what_would_flatten_the_rest():
    chart = charts.durations(
        rows(*["succeeded"] * 41, seconds=[1000, *[10] * 40]), title=lambda row: row["id"]
    )
    assert chart.bars[-1].clipped
    assert chart.bars[-1].height == 100
    assert chart.bars[0].height == pytest.approx(50, abs=1)
    assert chart.median_words == "10 s"
    assert "median 10 s" in chart.summary
    assert chart.bars[0].label == "r40: 10 s, succeeded"


def test_too_few_runs_make_no_chart():
    assert charts.durations(rows("failed", "failed", seconds=[1, 2]), title=str) is None
    assert charts.durations(rows("skipped", "missed", "lost"), title=str) is None


@pytest.mark.parametrize(
    ("share", "tone", "width"),
    [(-1, "calm", "0"), (0.38, "calm", "38"), (0.9, "warn", "90"), (2, "bad", "100")],
)
def test_a_meter_warns_before_it_is_full(share, tone, width):
    svg = charts.meter(share, label="Disk of <n1>")
    assert f"t-{tone}" in svg
    assert f"h{width}" in svg
    assert "&lt;n1&gt;" in svg
    assert charts.meter(None, label="x") == ""


@pytest.mark.parametrize(
    ("voters", "answering", "needed", "sentence"),
    [
        (1, 1, 1, "A cluster of one: if this machine stops, nothing runs."),
        (3, 3, 2, "The cluster survives the loss of 1 more."),
        (3, 2, 2, "If one more voter fails, nothing new starts."),
        (3, 1, 2, "2 voters are needed for a majority and 1 answer."),
        (4, 4, 3, "The cluster survives the loss of 1 more."),
        (5, 5, 3, "The cluster survives the loss of 2 more."),
        (2, 2, 2, "If one more voter fails, nothing new starts."),
    ],
)
def test_the_arithmetic_of_a_majority(voters, answering, needed, sentence):
    quorum = charts.Quorum(voters, answering)
    assert (quorum.needed, quorum.sentence) == (needed, sentence)
