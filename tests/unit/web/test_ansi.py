import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croncord.web.ansi import line_html

LINES = [
    (b"plain", "plain"),
    (b"", ""),
    (b"<b>&amp;</b>", "&lt;b&gt;&amp;amp;&lt;/b&gt;"),
    (b"\x1b[31mred\x1b[0m end", '<span class="f1">red</span> end'),
    (b"\x1b[1;32mbold green", '<span class="a-b f2">bold green</span>'),
    (b"\x1b[1mbold\x1b[22m not", '<span class="a-b">bold</span> not'),
    (b"\x1b[44mblue paper\x1b[49m none", '<span class="g4">blue paper</span> none'),
    (b"\x1b[97mwhite\x1b[39m none", '<span class="f15">white</span> none'),
    (b"\x1b[38;5;9mbright red", '<span class="f9">bright red</span>'),
    (b"\x1b[38;5;196mcube red", '<span class="f9">cube red</span>'),
    (b"\x1b[38;5;255mgrey", '<span class="f7">grey</span>'),
    (b"\x1b[38;2;0;200;0mtrue green", '<span class="f2">true green</span>'),
    (b"\x1b[48:2:250:0:0mcolons", '<span class="g9">colons</span>'),
    (b"\x1b[38;5;999mno such colour", "no such colour"),
    (b"\x1b[38mcut short", "cut short"),
    (b"\x1b[mreset", "reset"),
    (b"\x1b[2J\x1b[Hcleared", "cleared"),
    (b"\x1b]0;a title\x07after", "after"),
    (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
    (b"\x1b]never ends", ""),
    (b"\x1bcreset", "reset"),
    (b"10%\r50%\r100%", "100%"),
    (b"windows\r", "windows"),
    (b"tab\tkept", "tab\tkept"),
    (b"a\x00b\x07c", "a\u2400b\u2407c"),
    (b"\xff\xfe", "\ufffd\ufffd"),
    ("abc\u202edcba".encode(), "abc\ufffddcba"),
    ("Grüße".encode(), "Grüße"),
]


@pytest.mark.parametrize(("line", "html"), LINES)
def test_a_line_of_output_becomes_safe_html(line, html):
    assert line_html(line) == html


def test_each_line_starts_with_a_plain_pen():
    assert line_html(b"\x1b[31mred") == '<span class="f1">red</span>'
    assert line_html(b"next") == "next"


class Strict(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.depth = 0
        self.text = ""

    def handle_starttag(self, tag, attributes):
        assert tag == "span"
        ((name, value),) = attributes
        assert name == "class"
        assert re.fullmatch(r"[afg][-a-z0-9 ]+", value)
        self.depth += 1

    def handle_endtag(self, _tag):
        self.depth -= 1

    def handle_data(self, data):
        self.text += data


@given(
    st.binary(max_size=200) | st.text("\x1b[]0123456789;:mK<>&\"'a\r", max_size=60).map(str.encode)
)
def test_whatever_a_script_writes_the_html_is_closed_and_holds_only_classed_spans(line):
    parser = Strict()
    parser.feed(line_html(line))
    parser.close()
    assert parser.depth == 0
    assert "\x1b" not in parser.text


@given(st.text(st.characters(exclude_categories=["C"]), max_size=80))
def test_text_without_control_characters_is_shown_as_it_is(text):
    parser = Strict()
    parser.feed(line_html(text.encode()))
    parser.close()
    assert parser.text == text
