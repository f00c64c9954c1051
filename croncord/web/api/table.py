"""All endpoints of the API, in the order in which they are published."""

from croncord.web.api import (
    access,
    audit,
    calendars,
    cluster,
    events,
    health,
    job_questions,
    jobs,
    logs,
    metrics,
    nodes,
    notifications,
    runs,
    saved_views,
    schedule,
    search,
    secrets,
    timeline,
)
from croncord.web.api.endpoint import Endpoint
from croncord.web.api.openapi import openapi_endpoint

_NOUNS = (
    health,
    metrics,
    cluster,
    nodes,
    jobs,
    job_questions,
    runs,
    calendars,
    saved_views,
    secrets,
    notifications,
    search,
    logs,
    schedule,
    timeline,
    events,
    audit,
    access,
)
_DESCRIBED: tuple[Endpoint, ...] = tuple(e for noun in _NOUNS for e in noun.ENDPOINTS)

ENDPOINTS: tuple[Endpoint, ...] = (*_DESCRIBED, openapi_endpoint(_DESCRIBED))
