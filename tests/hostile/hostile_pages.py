"""Rows: markup in every field, on the page that shows it."""

from urllib.parse import quote

from hostile_markup import FIELDS, REFLECTED, SHOWN, Page, mark
from hostile_table import row


def shown(name, where):
    """Markup that was put into a field is on the page that shows it, as text."""

    def send(stage):
        job = quote(mark("job-name"))
        run = stage.node.get(f"/api/v1/runs?job={job}")["items"][0]["id"]
        status, _, html = stage.page(where.format(job=job, run=run))
        assert status == 200
        return judged(Page(html), mark(name))

    return row(f"markup: {name}", "page", send, "harmless")


def judged(page, text):
    if page.intruders:
        return str(page.intruders)
    return "harmless" if page.shows(text) else "not shown at all"


def reflected(name, address):
    """Markup in an address is refused or on the page as text."""

    def send(stage):
        page = Page(stage.page(address(mark(name)))[2])
        return "harmless" if not page.intruders else str(page.intruders)

    return row(f"markup in an address: {name}", "page", send, "harmless")


def refused(field):
    def send(stage):
        return stage.node.call(field.method, field.path, field.body).status

    return row(f"markup: {field.name}", "http", send, 422)


def typed(what, where, **fields):
    """A form that is refused comes back with what was typed, as text."""

    def send(stage):
        typed = {key: value or mark(f"typed-{key}") for key, value in fields.items()}
        status, _, html = stage.form(where, typed)
        assert status == 422
        return judged(Page(html.decode()), mark(f"typed-{next(iter(fields))}"))

    return row(f"markup typed into a form: {what}", "page", send, "harmless")


MARKUP = (
    *(shown(name, where) for name, where in SHOWN.items()),
    *(reflected(name, address) for name, address in REFLECTED.items()),
    *(refused(field) for field in FIELDS if field.refused),
    typed("a job", "/jobs/new", description="", name="", owner="", schedule="", script="x"),
    typed("a user", "/settings/users", name="", role="admin", password="short"),
    typed("a channel", "/settings/notifications/channels", to="", name="odd", kind="email"),
)
