"""Errors of Google's APIs with the fault of each.

https://ai.google.dev/gemini-api/docs/troubleshooting, https://ai.google.dev/gemini-api/docs/billing
"""

from pointsman.domain import failures
from pointsman.domain.failures import Kind


def google_error(code: int, status: str, message: str, reason: str = "") -> dict[str, object]:
    """Build an error in Google's format."""
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}
    return {"error": {"code": code, "message": message, "status": status, "details": [info] if reason else []}}


_ROWS: tuple[tuple[int, str, str, str, Kind], ...] = (
    (
        400,
        "INVALID_ARGUMENT",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "",
        failures.CONTEXT_TOO_LONG,
    ),
    (
        400,
        "INVALID_ARGUMENT",
        "API key not valid. Please pass a valid API key.",
        "API_KEY_INVALID",
        failures.CREDENTIAL_REJECTED,
    ),
    (400, "INVALID_ARGUMENT", "API key expired. Please renew the API key.", "", failures.CREDENTIAL_REJECTED),
    (400, "INVALID_ARGUMENT", 'Unknown name "x": Cannot find field.', "", failures.UPSTREAM_REFUSED),
    (
        400,
        "FAILED_PRECONDITION",
        "User location is not supported for the API use.",
        "",
        failures.CREDENTIAL_REJECTED,
    ),
    (
        400,
        "FAILED_PRECONDITION",
        "Gemini API free tier is not available in your country. Please enable billing.",
        "",
        failures.BALANCE_EMPTY,
    ),
    (
        400,
        "INVALID_ARGUMENT",
        "Request payload size exceeds the limit: 104857600 bytes.",
        "",
        failures.UPSTREAM_TOO_LARGE,
    ),
    (401, "UNAUTHENTICATED", "Request had invalid credentials.", "", failures.CREDENTIAL_REJECTED),
    (
        403,
        "PERMISSION_DENIED",
        "Your API key was reported as leaked. Please use another API key.",
        "",
        failures.CREDENTIAL_REJECTED,
    ),
    (
        403,
        "PERMISSION_DENIED",
        "Requests to this API method are blocked.",
        "API_KEY_SERVICE_BLOCKED",
        failures.CREDENTIAL_REJECTED,
    ),
    (403, "PERMISSION_DENIED", "The caller does not have permission", "", failures.UPSTREAM_MODEL_DENIED),
    (404, "NOT_FOUND", "models/x is not found for API version v1beta.", "", failures.UPSTREAM_MODEL_MISSING),
    (
        429,
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan and billing details.",
        "",
        failures.UPSTREAM_RATE_LIMITED,
    ),
    (429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.", "", failures.BALANCE_EMPTY),
    (429, "RESOURCE_EXHAUSTED", "Your project has exceeded its monthly spending cap.", "", failures.BALANCE_EMPTY),
    (500, "INTERNAL", "An internal error has occurred.", "", failures.UPSTREAM_ERROR),
    (503, "UNAVAILABLE", "The model is overloaded. Please try again later.", "", failures.UPSTREAM_OVERLOADED),
    (504, "DEADLINE_EXCEEDED", "Deadline expired before operation completed.", "", failures.UPSTREAM_ERROR),
)
# The status of an answer, its body, and the kind of the failure. An error may be in a list.
ERRORS: list[tuple[int, object, Kind]] = [
    *[(code, google_error(code, status, message, reason), kind) for code, status, message, reason, kind in _ROWS],
    (429, [google_error(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted.")], failures.UPSTREAM_RATE_LIMITED),
]

# https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/api-errors
OF_VERTEX: tuple[tuple[int, dict[str, object], Kind], ...] = tuple(
    (code, google_error(code, status, message), kind)
    for code, status, message, kind in (
        (
            403,
            "PERMISSION_DENIED",
            "Vertex AI API has not been used in project 1234 before or it is disabled. Enable it first.",
            failures.CREDENTIAL_REJECTED,
        ),
        (
            403,
            "PERMISSION_DENIED",
            "This API method requires billing to be enabled. Please enable billing on project #1234.",
            failures.BALANCE_EMPTY,
        ),
        (
            404,
            "NOT_FOUND",
            "Publisher Model `projects/p/locations/r/publishers/google/models/m` was not found.",
            failures.UPSTREAM_MODEL_MISSING,
        ),
    )
)
