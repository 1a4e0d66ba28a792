"""Errors of clouds, of hosts of open models and of vendors in China, from their documentation and from observed
answers."""

from fakes.error_samples import (
    BROKEN,
    DENIED,
    EMPTY,
    FILTERED,
    LACKING,
    LIMITED,
    MISSING,
    OVERLOADED,
    REJECTED,
    REJECTED_REQUEST,
    TOO_LARGE,
    TOO_LONG,
    Sample,
    openai_error,
)
from pointsman.domain.failures import Scope


def azure_error(code: str, message: str) -> dict[str, object]:
    """Build an error in Azure's format."""
    return {"error": {"code": code, "message": message}}


def minimax_error(type_: str, message: str) -> dict[str, object]:
    """Build an error in MiniMax's format."""
    return {"type": "error", "error": {"type": type_, "message": message, "http_code": "400"}, "request_id": "1"}


def cloudflare_error(code: int, message: str) -> dict[str, object]:
    """Build an error in Cloudflare's format."""
    return {"success": False, "errors": [{"code": code, "message": message}], "result": {}, "messages": []}


HOSTED: dict[str, list[Sample]] = {
    # Observed answers of its embeddings
    "jina": [
        Sample(400, {"detail": "Single text cannot exceed 8194 tokens. 8746 tokens given."}, TOO_LONG),
        Sample(401, {"detail": "Invalid API key"}, REJECTED),
        Sample(402, {"detail": "Insufficient account balance"}, EMPTY),
    ],
    # https://docs.voyageai.com/docs/error-codes, and observed answers
    "voyage": [
        Sample(
            400,
            {
                "detail": "Request to model 'voyage-3' failed. The max allowed tokens per submitted batch is 120000. "
                "Your batch has 130000 tokens after truncation. Please lower the number of tokens in the batch."
            },
            TOO_LONG,
        ),
        Sample(401, {"detail": "Provided API key is invalid."}, REJECTED),
    ],
    # https://docs.baseten.co/inference/errors; Model APIs pass the errors of open models' servers on
    "baseten": [
        Sample(
            400,
            {"error": "This model's maximum context length is 131072 tokens. However, you requested 140000 tokens"},
            TOO_LONG,
        ),
        Sample(402, {"error": "There is a billing issue on the account"}, EMPTY),
        Sample(413, {"error": "Request body too large"}, TOO_LARGE),
        Sample(503, {"error": "Container not available"}, OVERLOADED),
    ],
    # https://docs.parasail.io; its servers are vLLM
    "parasail": [
        Sample(
            400,
            openai_error(
                "This model's maximum context length is 32768 tokens. However, you requested 40000 tokens", 400
            ),
            TOO_LONG,
        ),
        Sample(404, openai_error("The model `x` does not exist.", 404, "NotFoundError"), MISSING),
    ],
    # https://docs.requesty.ai; the errors are those of the vendors
    "requesty": [
        Sample(
            400,
            openai_error("This model's maximum context length is 128000 tokens.", "context_length_exceeded"),
            TOO_LONG,
        ),
    ],
    # https://docs.sarvam.ai/api/getting-started/errors-troubleshooting
    "sarvam": [
        Sample(
            400,
            openai_error("The prompt exceeds the maximum context length of the model", "invalid_request_error"),
            TOO_LONG,
        ),
        Sample(403, openai_error("Invalid or missing API key", "invalid_api_key_error"), REJECTED),
        Sample(
            422, openai_error("Schema valid but business rule failed", "unprocessable_entity_error"), REJECTED_REQUEST
        ),
        Sample(429, openai_error("Credits exhausted", "insufficient_quota_error"), EMPTY),
        Sample(429, openai_error("Too many requests", "rate_limit_exceeded_error"), LIMITED),
        Sample(503, openai_error("High load", "rate_limit_exceeded_error"), OVERLOADED),
    ],
    # https://cloud.tencent.com/document/product/1729
    "tencent": [
        Sample(
            400,
            openai_error("This model's maximum context length is 131072 tokens. However, you requested 140000 tokens"),
            TOO_LONG,
        ),
    ],
    # https://docs.snowflake.com/user-guide/snowflake-cortex/cortex-rest-api#status-codes
    "snowflake": [
        Sample(400, {"message": "max tokens of 128000 exceeded"}, TOO_LONG),
        Sample(400, {"message": "all requests were throttled by remote service"}, OVERLOADED),
        Sample(400, {"message": "unknown model x"}, MISSING),
        Sample(400, {"message": "invalid options object"}, REJECTED_REQUEST),
        Sample(402, {"message": "budget exceeded"}, EMPTY),
        Sample(403, {"message": "Not Authorized"}, REJECTED),
        Sample(429, {"message": "too many requests"}, LIMITED),
        Sample(503, {"message": "inference timed out"}, BROKEN),
    ],
    # https://docs.github.com/en/github-models; Aider-AI/aider issue 2296
    "github-models": [
        Sample(
            413,
            openai_error("Request body too large for gpt-4o model. Max size: 8000 tokens.", "tokens_limit_reached"),
            TOO_LONG,
        ),
        Sample(
            429,
            openai_error(
                "Rate limit of 50 per 86400s exceeded for UserByModelByDay. Please wait 5631 seconds before retrying.",
                "RateLimitReached",
            ),
            LIMITED,
        ),
    ],
    # https://docs.nscale.com/docs/faqs/error-codes
    "nscale": [
        Sample(
            400,
            openai_error("This model's maximum context length is 32768 tokens. However, you requested 40000 tokens"),
            TOO_LONG,
        ),
        Sample(429, openai_error("Insufficient credit"), EMPTY),
        Sample(503, openai_error("Service temporarily unavailable"), OVERLOADED),
    ],
    # https://docs.cohere.com/reference/errors
    "cohere": [
        Sample(
            400,
            {"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292."},
            TOO_LONG,
        ),
        Sample(400, {"message": "invalid request: prompt must be at least 1 token long."}, REJECTED_REQUEST),
        Sample(400, {"message": "invalid request: model 'command-r' is not supported by the generate API"}, LACKING),
        Sample(400, {"message": "finetuned model with name xyz is not ready for serving"}, MISSING),
        Sample(401, {"message": "invalid api token"}, REJECTED),
        Sample(402, {"message": "Please add or update your payment method at https://dashboard.cohere.com"}, EMPTY),
        Sample(
            404,
            {
                "id": "1",
                "message": "model 'xyz' not found, make sure the correct model ID was used and that you have access "
                "to the model.",
            },
            MISSING,
        ),
        Sample(404, {"message": "404 page not found"}, LACKING, Scope.OPERATION),
        Sample(
            429, {"message": "You are past the per minute request limit, please wait and try again later."}, LIMITED
        ),
        Sample(
            429,
            {"message": "You are using a Trial key, which is limited to 40 API calls / minute."},
            LIMITED,
            Scope.KEY,
        ),
        Sample(429, {"message": "You are using a Trial key, which is limited to 1000 API calls / month."}, EMPTY),
        Sample(498, {"message": "blocked output: please try again"}, FILTERED),
        Sample(499, {"message": "request cancelled"}, BROKEN, Scope.ATTEMPT),
    ],
    # https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter; compl-ai/compl-ai issue 20
    "azure": [
        Sample(
            400,
            openai_error(
                "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
                "context_length_exceeded",
                "invalid_request_error",
            ),
            TOO_LONG,
        ),
        Sample(
            400,
            openai_error(
                "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
                "content_filter",
            ),
            FILTERED,
        ),
        Sample(
            400,
            azure_error("OperationNotSupported", "The chatCompletion operation does not work with the specified model"),
            LACKING,
        ),
        Sample(
            401, azure_error("401", "Access denied due to invalid subscription key or wrong API endpoint."), REJECTED
        ),
        Sample(403, azure_error("403", "Access denied due to Virtual Network/Firewall rules."), REJECTED),
        Sample(
            404,
            azure_error("DeploymentNotFound", "The API deployment for this resource does not exist. If you created …"),
            MISSING,
        ),
        Sample(404, azure_error("404", "Resource not found"), LACKING, Scope.OPERATION),
        Sample(
            429,
            azure_error(
                "429",
                "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-02-01 have "
                "exceeded call rate limit of your current OpenAI S0 pricing tier. Please retry after 9 seconds.",
            ),
            LIMITED,
        ),
        Sample(
            429,
            openai_error(
                "The system is currently experiencing high demand and cannot process your request. Your request …",
                None,
                "too_many_requests",
            ),
            OVERLOADED,
        ),
    ],
    # https://huggingface.co/docs/inference-providers; a router to hosts, most of which run vLLM
    "huggingface": [
        Sample(
            400,
            openai_error("This model's maximum context length is 32768 tokens. However, you requested 40000 tokens"),
            TOO_LONG,
        ),
        Sample(
            400,
            openai_error(
                "The requested model 'x/y' is not supported by any provider you have enabled.",
                "model_not_supported",
                "invalid_request_error",
            ),
            MISSING,
        ),
        Sample(402, {"error": "You have exceeded your monthly included credits for Inference Providers."}, EMPTY),
        Sample(
            403,
            {"error": "This authentication method does not have sufficient permissions to call Inference Providers"},
            REJECTED,
        ),
    ],
    # https://docs.sambanova.ai/docs/en/api-reference/using-the-api/api-error-codes; OpenHands/OpenHands issue 9227
    "sambanova": [
        Sample(
            400,
            openai_error(
                "The maximum context length of DeepSeek-V3-0324 is 32768. However, answering your request will take "
                "39732 tokens. Please reduce the length of the messages or the specified max_completion_tokens value.",
            ),
            TOO_LONG,
        ),
        Sample(
            400,
            openai_error(
                "Decimal above maximum value. Expected a value between 0 and 1, but got 100 instead.",
                "decimal_above_max_value",
                "invalid_request_error",
            ),
            REJECTED_REQUEST,
        ),
    ],
    # Alishahryar1/free-claude-code issues 391 and 1021, decolua/9router issue 2527
    "nvidia": [
        Sample(
            400,
            openai_error("This model's maximum context length is 196608 tokens. However, …", 400, "Bad Request"),
            TOO_LONG,
        ),
        Sample(
            400,
            {
                "status": 400,
                "title": "Bad Request",
                "detail": "Function id '87ea0ddc-cff1': DEGRADED function cannot be invoked",
            },
            OVERLOADED,
        ),
        Sample(
            404,
            {"status": 404, "title": "Not Found", "detail": "Function '23d4f03a-b8a6': Not found for account 'x'"},
            MISSING,
        ),
    ],
    # langchain-ai/langchain pull request 25671, truefoundry/models pull request 862
    "deepinfra": [
        Sample(500, openai_error("Requested input length 99009 exceeds maximum input length 8192"), TOO_LONG),
        Sample(429, {"error": {"message": "Model busy, retry later"}}, OVERLOADED),
        Sample(429, openai_error("Try again.", "engine_overloaded", "invalid_request_error"), OVERLOADED),
    ],
    # https://novita.ai/docs/guides/error
    "novita": [
        Sample(
            400,
            {
                "code": 400,
                "reason": "INVALID_REQUEST_BODY",
                "message": "This model's maximum context length is 163840 tokens. However, you requested …",
                "metadata": {},
            },
            TOO_LONG,
        ),
        Sample(403, {"code": 403, "reason": "NOT_ENOUGH_BALANCE", "message": "not enough balance"}, EMPTY),
        Sample(403, openai_error("The key may not call this model.", "model_access_denied"), DENIED),
        Sample(404, {"code": 404, "reason": "MODEL_NOT_FOUND", "message": "model not found", "metadata": {}}, MISSING),
    ],
    # https://platform.kimi.com/docs/api/errors; MoonshotAI/kimi-cli issue 2011, continuedev/continue issue 11443
    "moonshot": [
        Sample(
            400,
            openai_error(
                "Invalid request: Your request exceeded model token limit: 262144 (requested: 269030)",
                None,
                "invalid_request_error",
            ),
            TOO_LONG,
        ),
        Sample(400, openai_error("Input token length too long", None, "invalid_request_error"), TOO_LONG),
        Sample(
            400,
            openai_error("The request was rejected because it was considered high risk", None, "content_filter"),
            FILTERED,
        ),
        Sample(
            403,
            openai_error(
                "Your account x is not active, organization x exceeded current quota, please check your plan",
                None,
                "exceeded_current_quota_error",
            ),
            EMPTY,
        ),
        Sample(
            429, openai_error("Your account org-1 <ak-1> is suspended due to insufficient balance, please …"), EMPTY
        ),
        Sample(
            429,
            openai_error(
                "Your account x request reached organization max RPM: 3, please try again after 1 seconds",
                None,
                "rate_limit_reached_error",
            ),
            LIMITED,
            Scope.KEY,
        ),
        Sample(
            429,
            openai_error("The engine is currently overloaded, please try again later", None, "engine_overloaded_error"),
            OVERLOADED,
        ),
    ],
    # https://docs.z.ai/api-reference/api-code; zai-org/GLM-5 issue 148
    "zai": [
        Sample(400, {"error": {"code": "1261", "message": "Prompt exceeds max length"}}, TOO_LONG),
        Sample(400, {"error": {"code": "1211", "message": "Unknown Model, please check the model code."}}, MISSING),
        Sample(400, {"error": {"code": "1301", "message": "System detected potentially unsafe content"}}, FILTERED),
        Sample(
            429,
            {"error": {"code": "1113", "message": "Insufficient balance or no resource package. Please recharge."}},
            EMPTY,
        ),
        Sample(429, {"error": {"code": 1113, "message": "Insufficient balance or no resource package."}}, EMPTY),
        Sample(429, {"error": {"code": "1112", "message": "Your account has been locked"}}, REJECTED),
        Sample(429, {"error": {"code": "1302", "message": "Rate limit reached for requests"}}, LIMITED),
        Sample(
            429,
            {"error": {"code": "1310", "message": "Weekly/Monthly limit exhausted. It will reset at 2026-09-01"}},
            LIMITED,
            Scope.KEY,
        ),
        Sample(429, {"error": {"code": "1311", "message": "The plan does not include access to x"}}, DENIED),
        Sample(429, {"error": {"code": "1312", "message": "This model is busy. Please try again later"}}, OVERLOADED),
    ],
    # https://help.aliyun.com/en/model-studio/error-code-start, …/rate-limit; QwenLM/qwen-code issue 98
    "alibaba": [
        Sample(
            400,
            openai_error(
                "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 983616]",
                "invalid_parameter_error",
                "invalid_request_error",
            ),
            TOO_LONG,
        ),
        Sample(
            400,
            openai_error("Input data may contain inappropriate content.", "data_inspection_failed"),
            FILTERED,
        ),
        Sample(
            400,
            openai_error("Access denied, please make sure your account is in good standing.", "Arrearage", "Arrearage"),
            EMPTY,
        ),
        Sample(
            429,
            openai_error("You exceeded your current quota, please check your plan", "insufficient_quota"),
            LIMITED,
        ),
        Sample(429, openai_error("Requests rate limit exceeded", "Throttling.RateQuota"), LIMITED),
        Sample(403, openai_error("Access to model denied.", "AccessDenied.Unpurchased"), DENIED),
        Sample(404, openai_error("The model `x` does not exist.", "model_not_found"), MISSING),
    ],
    # https://docs.byteplus.com/en/docs/ModelArk/1299023
    "volcengine": [
        Sample(
            400,
            openai_error(
                "Total tokens of image and text exceed max message tokens. Request id: 0217", "InvalidParameter"
            ),
            TOO_LONG,
        ),
        Sample(
            400,
            openai_error(
                "The request failed because the input text may contain severe violation information.",
                "SensitiveContentDetected.SevereViolation",
                "BadRequest",
            ),
            FILTERED,
        ),
        Sample(
            403,
            openai_error("The request failed because your account has an overdue balance.", "AccountOverdueError"),
            EMPTY,
        ),
        Sample(404, openai_error("Your account x has not activated the model y.", "ModelNotOpen", "NotFound"), DENIED),
        Sample(
            404,
            openai_error("The model or endpoint x does not exist", "InvalidEndpointOrModel.NotFound", "NotFound"),
            MISSING,
        ),
        Sample(
            429,
            openai_error("The Tokens Per Minute limit …", "RateLimitExceeded.EndpointTPMExceeded", "TooManyRequests"),
            LIMITED,
        ),
        Sample(429, openai_error("The service is overloaded", "ServerOverloaded", "TooManyRequests"), OVERLOADED),
    ],
    # https://docs.databricks.com/aws/en/machine-learning/model-serving/
    "databricks": [
        Sample(
            400,
            {
                "error_code": "BAD_REQUEST",
                "message": "Bad request: rpc error: code = InvalidArgument desc = prompt token count (4595) cannot "
                "exceed 4096...",
            },
            TOO_LONG,
        ),
        Sample(
            400,
            {"error_code": "BAD_REQUEST", "message": '{"message":"Input is too long for requested model."}'},
            TOO_LONG,
        ),
        Sample(
            429,
            {
                "error_code": "REQUEST_LIMIT_EXCEEDED",
                "message": "REQUEST_LIMIT_EXCEEDED: Exceeded workspace input tokens per minute rate limit for m.",
            },
            LIMITED,
        ),
        Sample(400, {"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "Exceeded workspace …"}, LIMITED),
    ],
    # https://vercel.com/docs/ai-gateway; a router to vendors, whose errors it passes on
    "vercel": [
        Sample(400, openai_error("prompt is too long: 208310 tokens > 200000 maximum"), TOO_LONG),
        Sample(
            402,
            openai_error("Insufficient funds. Please add credits to your account …", None, "insufficient_funds"),
            EMPTY,
        ),
        Sample(
            403,
            openai_error("AI Gateway requires a valid credit card on file …", None, "customer_verification_required"),
            EMPTY,
        ),
    ],
    # ollama/ollama issue 15990
    "ollama-cloud": [
        Sample(400, {"error": "the input length exceeds the context length"}, TOO_LONG),
        Sample(403, openai_error("this model requires a subscription, upgrade for access: …"), DENIED),
        Sample(
            429,
            {"error": "you (user) have reached your weekly usage limit, upgrade for higher limits: …"},
            LIMITED,
            Scope.KEY,
        ),
    ],
    # https://platform.minimax.io/docs/api-reference/errorcode; MiniMax-AI/MiniMax-M2 issues 62 and 119,
    # modelscope/modelscope issue 1691
    "minimax": [
        Sample(
            400, minimax_error("bad_request_error", "invalid params, context window exceeds limit (2013)"), TOO_LONG
        ),
        Sample(402, minimax_error("insufficient_balance_error", "insufficient balance (1008)"), EMPTY),
        Sample(429, minimax_error("insufficient_balance_error", "insufficient balance (1008)"), EMPTY),
        Sample(500, minimax_error("api_error", "insufficient balance (1008)"), EMPTY),
        Sample(422, minimax_error("unprocessable_entity_error", "input contains sensitive content (1026)"), FILTERED),
        Sample(429, minimax_error("rate_limit_error", "rate limit, please retry later (1002)"), LIMITED),
        Sample(401, minimax_error("authorized_error", "login fail: Please carry the API secret key (1004)"), REJECTED),
    ],
    # https://docs.siliconflow.cn/en/faqs/error-code
    "siliconflow": [
        Sample(
            400,
            {
                "code": 20015,
                "message": "length of prompt_tokens (40000) must be less than max_seq_len (32768).",
                "data": None,
            },
            TOO_LONG,
        ),
        Sample(
            400,
            {"code": 20012, "message": "Model does not exist. Please check it carefully.", "data": None},
            MISSING,
        ),
        Sample(403, {"code": 30001, "message": "Sorry, your account balance is insufficient", "data": None}, EMPTY),
    ],
    # https://docs.venice.ai/api-reference/error-codes
    "venice": [
        Sample(
            400,
            openai_error(
                "Your request exceeds the model's maximum context. Please reduce your prompt or completion length.",
                "context_length_exceeded",
                "invalid_request_error",
            ),
            TOO_LONG,
        ),
        Sample(401, {"error": "This model is only available to Pro users"}, DENIED),
        Sample(401, {"error": "Authentication failed"}, REJECTED),
        Sample(402, {"error": "Insufficient USD or Diem balance to complete request."}, EMPTY),
    ],
    # https://docs.wandb.ai/inference/api-reference/errors
    "wandb": [
        Sample(
            400,
            openai_error("This model's maximum context length is 131072 tokens. However, you requested …"),
            TOO_LONG,
        ),
        Sample(402, openai_error("You exceeded your current quota, please check your plan and billing details"), EMPTY),
        Sample(403, openai_error("Country, region, or territory not supported"), REJECTED),
        Sample(403, openai_error("The inference gateway is not enabled for your organization"), REJECTED),
        Sample(429, openai_error("Concurrency limit reached for requests"), LIMITED, Scope.KEY),
        Sample(503, openai_error("The engine is currently overloaded, please try again later"), OVERLOADED),
    ],
    # https://www.scaleway.com/en/docs/generative-apis/troubleshooting/fixing-common-issues/, …/understanding-errors/
    "scaleway": [
        Sample(400, openai_error("You exceeded maximum context window for this model"), TOO_LONG),
        Sample(416, openai_error("max_completion_tokens is limited for this model"), TOO_LARGE),
        Sample(422, openai_error("Model not found"), MISSING),
    ],
    # https://developers.cloudflare.com/workers-ai/platform/errors/
    "cloudflare": [
        Sample(
            413,
            cloudflare_error(
                5021,
                "AiError: Ai: The estimated number of input and maximum output tokens (263008) exceeded this model "
                "context window limit (262144).",
            ),
            TOO_LONG,
        ),
        Sample(400, cloudflare_error(5007, "No such model @cf/x/y or task"), MISSING),
        Sample(403, cloudflare_error(5018, "The account is not allowed to access this model"), DENIED),
        Sample(403, cloudflare_error(3023, "Service unavailable for account"), REJECTED),
        Sample(
            429,
            cloudflare_error(3036, "You have used up your daily free allocation of 10,000 neurons."),
            LIMITED,
            Scope.KEY,
        ),
        Sample(429, cloudflare_error(3040, "No more data centers to forward the request to"), OVERLOADED),
        Sample(413, cloudflare_error(3006, "Request is too large"), TOO_LARGE),
    ],
}
HOSTED["zhipu"] = HOSTED["zai"]  # of one vendor
