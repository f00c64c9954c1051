"""Figures in Prometheus' text format, read back by Prometheus' own client."""

from prometheus_client.parser import text_string_to_metric_families

from croncord.figures import Family, Histogram, Sample, counter, exposition, gauge, gauges


def read(*families):
    text = "\n".join(exposition(families)) + "\n"
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_any_label_comes_back_as_it_was():
    odd = 'a "quoted" \\ back\\slash\nand {braces}, µ'
    (sample,) = read(gauge("x", 'about "it"\n\\', 1.5, {"name": odd}))["x"].samples
    assert (sample.labels, sample.value) == ({"name": odd}, 1.5)


def test_half_of_a_surrogate_pair_in_a_name_does_not_break_the_page():
    (sample,) = read(gauge("x", "x", 1, {"name": "a\ud800b"}))["x"].samples
    assert sample.labels == {"name": "a?b"}


def test_what_is_not_known_has_no_sample():
    family = gauges("x", "x", [({"n": "1"}, None), ({"n": "2"}, 0)])
    assert [sample.labels for sample in read(family)["x"].samples] == [{"n": "2"}]


def test_large_counts_keep_every_digit():
    text = "\n".join(exposition([counter("x_total", "x", [({}, 123_456_789_012_345)])]))
    assert text.endswith("x_total 123456789012345")


def test_a_histogram_counts_up_to_each_bound():
    histogram = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(value)
    samples = read(histogram.family("h_seconds", "h"))["h_seconds"].samples
    assert [(s.name, s.labels.get("le"), s.value) for s in samples] == [
        ("h_seconds_bucket", "0.1", 2),
        ("h_seconds_bucket", "1", 3),
        ("h_seconds_bucket", "+Inf", 4),
        ("h_seconds_sum", None, 7.65),
        ("h_seconds_count", None, 4),
    ]


def test_families_without_samples_still_say_what_they_are():
    assert list(exposition([Family("x", "gauge", "nothing yet", [])])) == [
        "# HELP x nothing yet",
        "# TYPE x gauge",
    ]
    assert Sample(1, {}).suffix == ""
