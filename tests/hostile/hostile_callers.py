"""Rows: people and programs who may not, and pages of others."""

from urllib.parse import urlencode

from hostile_stage import FORM, PASSWORD
from hostile_table import A_JOB, JOBS, by, row


def browser(name, method, path, *, who="admin session", **headers):
    def send(stage):
        body = urlencode(A_JOB)
        return stage.http(method, path, body, who=who, **FORM, **headers)[0]

    return row(name, "http", send, 403, 421)


WHO_MAY_NOT = (
    row("nobody reads jobs", "http", by("nobody", "GET", JOBS), 401),
    row("nobody reads output", "http", by("nobody", "GET", "/api/v1/runs/0/log"), 401),
    row("nobody creates a job", "http", by("nobody", "POST", JOBS, A_JOB), 401),
    row("nobody reads metrics", "http", by("nobody", "GET", "/metrics"), 401),
    row("nobody opens a page", "http", by("nobody", "GET", "/jobs"), 303),
    row("a wrong token", "http", by("wrong", "POST", JOBS, A_JOB), 401),
    row("a name and password where a token belongs", "http", by("basic", "GET", JOBS), 401),
    row(
        "a token of half a megabyte",
        "http",
        by("nobody", "GET", JOBS, Authorization="Bearer " + "x" * 500_000),
        400,
        401,
        431,
    ),
    row("an expired token", "http", by("expired", "POST", JOBS, A_JOB), 401),
    row("a revoked token", "http", by("revoked", "POST", JOBS, A_JOB), 401),
    row("a viewer creates a job", "http", by("viewer", "POST", JOBS, A_JOB), 403),
    row("a viewer deletes a job", "http", by("viewer", "DELETE", f"{JOBS}/fine"), 403),
    row("a viewer runs a job", "http", by("viewer", "POST", f"{JOBS}/fine/run", {}), 403),
    row("a viewer looks at users", "http", by("viewer", "GET", "/api/v1/users"), 403),
    row("a viewer pauses all", "http", by("viewer", "POST", "/api/v1/cluster/pause", {}), 403),
    row("a viewer removes a node", "http", by("viewer", "DELETE", "/api/v1/nodes/n2"), 403),
    row(
        "an operator makes an admin",
        "http",
        by("operator", "POST", "/api/v1/users", {"name": "eve", "password": PASSWORD}),
        403,
    ),
    row(
        "an operator sets a secret",
        "http",
        by("operator", "PUT", "/api/v1/secrets/S", {"value": "long enough"}),
        403,
    ),
    row(
        "an operator takes a backup", "http", by("operator", "POST", "/api/v1/cluster/backup"), 403
    ),
    row("a token to read writes", "http", by("reader", "POST", JOBS, A_JOB), 403),
    row("a team creates a job without its tag", "http", by("team-a", "POST", JOBS, A_JOB), 403),
    row("a team looks at another's job", "http", by("team-a", "GET", f"{JOBS}/long"), 404),
    row("a team deletes another's job", "http", by("team-a", "DELETE", f"{JOBS}/long"), 404),
    row("a link that was never made", "http", by("nobody", "GET", "/setup?token=x"), 404),
    browser("a form without the CSRF token", "POST", "/jobs/fine/delete"),
    browser("a call without the CSRF token", "POST", JOBS),
    browser("a CSRF token of another session", "POST", JOBS, X_CSRF_Token="x" * 43),
    browser("a foreign page", "POST", "/jobs/fine/delete", Origin="https://evil.example"),
    browser("a page of no origin", "POST", "/jobs/fine/delete", Origin="null"),
    browser("a page on another port", "POST", "/jobs/fine/run", Origin="http://127.0.0.1:1"),
    browser("a page of another site", "POST", JOBS, Sec_Fetch_Site="cross-site"),
    browser("a name that was made to point here", "POST", JOBS, Host="evil.example"),
    browser("a viewer's form", "POST", "/jobs/fine/delete", who="viewer session"),
)
