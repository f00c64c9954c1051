"""Markup in every field that people, nodes and scripts can fill, and what pages make of it."""

from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import quote, urlsplit

TAG = "x-"


def mark(name):
    """Return text that ends attributes and elements, and would leave `x-NAME` in the page."""
    return f"\"'><i {TAG}{name} onload>&amp;{{{{7*7}}}}"


NODE_NAME = mark("node-name")
NODE_LABEL = f"{mark('label-key')}={mark('label-value')}"
RUN_ENVIRONMENT = {"EXTRA": mark("run-environment")}
URL = "javascript:alert(1)//"


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


SCRIPT = "echo bench; sleep 0.1\n"
_TELLS = "".join(
    f"printf '%s\\n' {quoted(line)}\n"
    for line in (
        mark("output"),
        f"\x1b[31m{mark('coloured-output')}\x1b[0m",
        f"\x1b]8;;{URL}\x07{mark('linked-output')}\x1b]8;;\x07",
        f"::notice {mark('notice')}",
        f"::output told={mark('message-output')}",
        f"::metric {mark('metric')}=1",
        f"::progress {mark('progress')}",
    )
)
JOB = {
    "name": mark("job-name"),
    "script": f"# {mark('script')}\n{_TELLS}printf '%s\\n' {quoted(mark('stderr'))} >&2\nexit 1\n",
    "description": mark("description"),
    "owner": mark("owner"),
    "tags": [mark("tag")],
    "environment": {"A": mark("environment")},
    "target": {"nodes": [NODE_NAME]},
    "calendars": [mark("calendar-name")],
    "after": [{"job": mark("upstream")}],
    "secrets": ["SECRET"],
    "notify": {"channels": ["command"], "on": ["late"]},
}


@dataclass(frozen=True)
class Field:
    """One thing that is put, with markup in a field of it."""

    name: str
    method: str
    path: str
    body: object
    refused: bool = False
    """Whether the field takes no such text at all."""

    def put(self, node):
        answer = node.call(self.method, self.path, self.body)
        expected = {422} if self.refused else {200, 201}
        assert answer.status in expected, (self.name, answer.status, answer.body[:500])


def _job(what, **fields):
    return Field(what, "POST", "/api/v1/jobs", {"name": "no job", "script": "x\n"} | fields, True)


def _channel(what, **fields):
    return Field(what, "PUT", "/api/v1/notifications/channels/odd", fields, True)


FIELDS = (
    Field(
        "calendar",
        "PUT",
        f"/api/v1/calendars/{quote(mark('calendar-name'))}",
        {"description": mark("calendar-description"), "dates": ["12-25"]},
    ),
    Field(
        "secret's tag",
        "PUT",
        "/api/v1/secrets/SECRET",
        {"value": "never shown", "tags": [mark("tag")]},
    ),
    Field(
        "channel",
        "PUT",
        "/api/v1/notifications/channels/command",
        {"kind": "command", "command": mark("command")},
    ),
    Field("upstream", "POST", "/api/v1/jobs", {"name": mark("upstream"), "script": "true\n"}),
    Field("job", "POST", "/api/v1/jobs", JOB),
    Field(
        "edited job",
        "PATCH",
        f"/api/v1/jobs/{quote(mark('job-name'))}",
        {"working_directory": "/tmp"},  # noqa: S108  # where its script runs
    ),
    Field(
        "user",
        "POST",
        "/api/v1/users",
        {"name": mark("user"), "password": "a password for tests", "role": "viewer"},
    ),
    Field("token", "POST", "/api/v1/tokens", {"name": mark("token")}),
    Field(
        "label limit",
        "PUT",
        "/api/v1/cluster/label-limits",
        {"limits": {f"{mark('limit')}=x": 2}},
    ),
    _job("schedule", schedule=mark("schedule")),
    _job("timezone", timezone=mark("timezone")),
    _job("user of the script", user=mark("user-of-script")),
    _job("lock", locks=[mark("lock")]),
    _job("name of a secret", secrets=[mark("secret")]),
    _job("name of a variable", environment={mark("variable"): "x"}),
    _job("working directory", working_directory=mark("directory")),
    _job("channel that is named", notify={"channels": [mark("channel")]}),
    _job("name with a line end", name=f"a\r\n{mark('line')}"),
    _channel("mail address", kind="email", to=[mark("mail")]),
    _channel("address of a webhook", kind="webhook", url=f"{URL}{mark('webhook')}"),
    Field(
        "settings of notifications",
        "PUT",
        "/api/v1/notifications/settings",
        {"url": URL, "smtp": {"host": mark("smtp-host"), "sender": mark("smtp-sender")}},
        True,
    ),
    Field("name of a secret that is set", "PUT", f"/api/v1/secrets/{quote(mark('s'))}", {}, True),
)

SHOWN = {
    # What was put -> a page that must show it, word for word. {job} is the job, {run} its run.
    "job-name": "/jobs",
    "description": "/jobs/{job}",
    "owner": "/jobs/{job}",
    "tag": "/jobs/{job}",
    "environment": "/jobs/{job}/edit",
    "script": "/jobs/{job}",
    "calendar-name": "/jobs/{job}",
    "upstream": "/jobs/{job}",
    "command": "/settings/notifications",
    "user": "/settings",
    "token": "/settings",
    "limit": "/settings",
    "view": "/jobs",
    "node-name": "/nodes",
    "label-key": "/nodes",
    "label-value": "/nodes",
    "run-environment": "/runs/{run}",
    "output": "/runs/{run}",
    "coloured-output": "/runs/{run}",
    "linked-output": "/runs/{run}",
    "stderr": "/runs/{run}",
    "notice": "/runs/{run}",
    "message-output": "/runs/{run}",
    "metric": "/runs/{run}",
    "progress": "/runs/{run}",
}

REFLECTED: dict[str, Callable[[str], str]] = {
    # Text in an address -> the page that repeats it.
    "asked-jobs": lambda text: f"/jobs?q={quote(text)}",
    "asked-tag": lambda text: f"/jobs?tag={quote(text)}",
    "asked-runs": lambda text: f"/runs?job={quote(text)}",
    "asked-logs": lambda text: f"/logs?q={quote(text)}",
    "asked-find": lambda text: f"/find?q={quote(text)}",
    "asked-audit": lambda text: f"/audit?by={quote(text)}",
    "asked-day": lambda text: f"/day?date={quote(text)}",
    "asked-preview": lambda text: f"/jobs/preview?schedule={quote(text)}",
    "asked-job": lambda text: f"/jobs/{quote(text)}",
    "asked-why": lambda text: f"/jobs/fine/why?at={quote(text)}",
    "asked-run": lambda text: f"/runs/{quote(text)}",
    "asked-user": lambda text: f"/settings/users/{quote(text)}",
    "asked-page": lambda text: f"/{quote(text)}",
}


class Page(HTMLParser):
    """What a browser would make of a page: its text, its attributes, and what should not be there."""

    def __init__(self, html):
        super().__init__()
        self.intruders = []
        self.texts, self.values, self.links = [], [], []
        self.feed(html)
        self.close()
        self.text = "".join(self.texts)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name.startswith(("on", TAG)) or name == "style":
                self.intruders.append((tag, name))
            if name == "href":
                self.links.append(value or "")
            if (value or "").strip().lower().startswith(("javascript:", "data:")):
                self.intruders.append((tag, name, value))
            self.values.append(value or "")
        names = dict(attributes)
        if tag == "script" and not (names.get("src") or "").startswith("/static/"):
            self.intruders.append((tag, "inline"))

    def handle_data(self, data):
        self.texts.append(data)

    def shows(self, text):
        """Whether the text is there as text, whole, or as the value of an attribute."""
        return text in self.text or any(text in value for value in self.values)


def links_of(page):
    """Return the pages that this one leads to, without what begins a download or a stream."""
    found = set()
    for link in page.links:
        parts = urlsplit(link)
        is_page = not parts.scheme and not parts.netloc and parts.path.startswith("/")
        # Charts link to each half hour: one is like the other.
        is_chart = "since%3D" in parts.query or "since=" in parts.query
        if is_page and not is_chart and not parts.path.startswith(("/static", "/api")):
            found.add(link.partition("#")[0])
    return found
