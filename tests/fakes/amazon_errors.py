"""Errors of Amazon Bedrock, from its documentation and from observed answers."""

from fakes.error_samples import (
    BROKEN,
    DENIED,
    LIMITED,
    MISSING,
    OVERLOADED,
    REJECTED,
    REJECTED_REQUEST,
    TOO_LONG,
    Sample,
)


def amazon_error(kind: str, message: str) -> dict[str, object]:
    """Build an error in Amazon's format. Its kind may also be in a header."""
    return {"__type": f"com.amazon.coral.service#{kind}", "message": message}


# https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html,
# …/APIReference/API_runtime_Converse.html (`Errors`)
ERRORS = [
    Sample(400, amazon_error("ValidationException", "Input is too long for requested model."), TOO_LONG),
    Sample(400, {"message": "Input is too long for requested model."}, TOO_LONG),
    Sample(400, amazon_error("ValidationException", "prompt is too long: 210000 tokens > 200000 maximum"), TOO_LONG),
    Sample(400, {"message": "The provided model identifier is invalid."}, MISSING),
    Sample(
        400,
        {"message": "Invocation of model ID x with on-demand throughput isn't supported. Retry with a profile."},
        MISSING,
    ),
    Sample(400, {"message": "Operation not allowed"}, DENIED),
    Sample(400, amazon_error("ValidationException", "The toolConfig field must be defined"), REJECTED_REQUEST),
    Sample(400, amazon_error("ServiceQuotaExceededException", "Your account has reached a quota"), LIMITED),
    Sample(403, amazon_error("AccessDeniedException", "You don't have access to the model x."), DENIED),
    Sample(403, {"Message": "Authentication failed: Please make sure your API Key is valid."}, REJECTED),
    Sample(403, amazon_error("UnrecognizedClientException", "The security token is invalid."), REJECTED),
    Sample(403, amazon_error("InvalidSignatureException", "The signature does not match."), REJECTED),
    Sample(403, amazon_error("ExpiredTokenException", "The token is expired"), REJECTED),
    Sample(404, amazon_error("ResourceNotFoundException", "Could not resolve the foundation model"), MISSING),
    Sample(408, amazon_error("ModelTimeoutException", "The model timed out."), BROKEN),
    Sample(424, amazon_error("ModelErrorException", "The model failed."), BROKEN),
    Sample(429, amazon_error("ThrottlingException", "Too many tokens, please wait before trying again."), LIMITED),
    Sample(429, amazon_error("ModelNotReadyException", "The model is not ready."), OVERLOADED),
    Sample(500, amazon_error("InternalServerException", "Try again."), BROKEN),
    Sample(503, amazon_error("ServiceUnavailableException", "Try again."), OVERLOADED),
]
