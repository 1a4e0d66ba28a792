"""Read answers and errors of Amazon Bedrock.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from pointsman.domain import failures
from pointsman.domain.failures import Failure
from pointsman.domain.messages import Headers
from pointsman.domain.outcomes import Usage
from pointsman.domain.pieces import Failed
from pointsman.providers._broken import incomplete, malformed
from pointsman.providers._error_table import Rules, rule
from pointsman.providers._judged import judge_pieces
from pointsman.providers._openai_errors import classify, classify_inside
from pointsman.providers.api import WholeAnswer
from pointsman.wire.json_object import UNREADABLE
from pointsman.wire.upstreams.bedrock.answer_reader import decode_answer, pieces_of
from pointsman.wire.upstreams.bedrock.errors import read_error
from pointsman.wire.upstreams.bedrock.usage import read_usage

# https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html, …/API_runtime_Converse.html (`Errors`),
# https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html
ERRORS: Rules = (
    rule(
        failures.CREDENTIAL_REJECTED,
        codes=(
            "ExpiredToken",
            "ExpiredTokenException",
            "IncompleteSignature",
            "IncompleteSignatureException",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "NotAuthorized",
            "OptInRequired",
            "RequestExpired",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
        ),
    ),
    rule(
        failures.CREDENTIAL_REJECTED,
        403,
        starts="authentication failed|bearer token|(?:the )?(?:security token|api key)",
    ),
    rule(failures.UPSTREAM_MODEL_DENIED, 400, starts="operation not allowed"),
    rule(failures.UPSTREAM_MODEL_DENIED, codes=("AccessDeniedException",)),
    rule(failures.UPSTREAM_MODEL_MISSING, codes=("ResourceNotFoundException",)),
    rule(
        failures.UPSTREAM_MODEL_MISSING,
        400,
        starts="the provided model identifier is invalid|invocation of model id|the requested model is not",
    ),
    rule(
        failures.UPSTREAM_OVERLOADED,
        codes=("ModelNotReadyException", "ServiceUnavailableException", "ServiceUnavailable"),
    ),
    rule(failures.UPSTREAM_RATE_LIMITED, codes=("ThrottlingException", "Throttling", "ServiceQuotaExceededException")),
    rule(
        failures.UPSTREAM_ERROR,
        codes=(
            "InternalFailure",
            "InternalServerException",
            "ModelErrorException",
            "ModelStreamErrorException",
            "ModelTimeoutException",
            "malformed_model_output",
            "malformed_tool_use",
        ),
    ),
)


def judge(body: bytes, errors: Rules) -> WholeAnswer | Failure:
    """Judge a whole answer of Converse: it must have content, or a reason for its end."""
    try:
        found = decode_answer(body)
        pieces = pieces_of(found)
    except UNREADABLE as error:
        return malformed(error)
    if found.blocks is None and not any(isinstance(piece, Failed) for piece in pieces):
        inside = read_error({}, body)
        return incomplete("message") if inside is None else classify_inside(inside, errors)
    return judge_pieces(body, pieces, read_usage(found.usage, found.tier), errors)


def usage_in(body: bytes) -> Usage | None:
    """Return the usage in an answer that may be of no use."""
    try:
        found = decode_answer(body)
    except UNREADABLE:
        return None
    return read_usage(found.usage, found.tier)


def amazon_failure(status: int, headers: Headers, body: bytes, now_unix_s: float, errors: Rules) -> Failure:
    """Classify an error by its kind, which is in a header or in the body."""
    error = read_error(headers, body)
    return classify(status, headers, body if error is None else error, now_unix_s, errors)
