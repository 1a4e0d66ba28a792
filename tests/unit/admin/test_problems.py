"""Errors of the admin API have the form of RFC 9457."""

import json

from pointsman.admin.problems import MEDIA_TYPE, ApiError, FieldError, respond


def test_error_has_the_members_of_problem_details() -> None:
    fault = FieldError("budgets[0].limit_usd", "must be greater than 0")
    error = ApiError(422, "invalid_request", "one field is at fault", errors=[fault], more={"taken": []})
    answer = respond(error)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert json.loads(bytes(answer.body)) == {
        "type": "urn:pointsman:problem:invalid_request",
        "title": "Unprocessable Entity",
        "status": 422,
        "code": "invalid_request",
        "detail": "one field is at fault",
        "taken": [],
        "errors": [{"field": "budgets[0].limit_usd", "message": "must be greater than 0"}],
    }


def test_error_without_faulty_fields_names_none() -> None:
    answer = respond(ApiError(401, "unauthorized", "present a token", headers={"www-authenticate": "Bearer"}))
    assert "errors" not in json.loads(bytes(answer.body))
    assert answer.headers["www-authenticate"] == "Bearer"
