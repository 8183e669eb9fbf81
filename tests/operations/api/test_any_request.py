"""Requests of all kinds, right and wrong, made from the description: none breaks the API."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from operations.api.endpoints import ENDPOINTS
from tests.operations.api.caller import Caller
from tests.rows import add_charging_point, add_session, add_token

EXAMPLES = 12
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture
def described(app, database):
    """The description as a stranger reads it, of an API that knows something."""
    add_charging_point(database)
    add_session(database)
    add_token(database, "04A1B2C3")
    return schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)


def test_any_request_is_answered_as_described(app, database, described):
    headers = {"Authorization": f"Bearer {Caller(app, database, 'administrator').key}"}
    tried = 0
    for endpoint in ENDPOINTS:
        operation = described[endpoint.path][endpoint.method]

        @seed(1)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def request(case):
            nonlocal tried
            tried += 1
            case.call_and_validate(headers=headers, checks=CHECKS)

        request()
    assert tried > 5 * len(ENDPOINTS)
