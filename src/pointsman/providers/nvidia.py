"""NVIDIA's hosted NIM: OpenAI-compatible. https://docs.api.nvidia.com/nim/reference/llm-apis

For a NIM on a machine of one's own, set `base_url`.
"""

from pointsman.domain import failures
from pointsman.providers._error_table import rule
from pointsman.providers._openai_compatible import openai_compatible

# An error has `status`, `title` and `detail`. A model that is out of order causes a 400: only its words show that the
# request is not to blame.
ERRORS = (rule(failures.UPSTREAM_OVERLOADED, 400, starts="(?:function id '[^']{1,80}': )?degraded function"),)

PROVIDER = openai_compatible(
    "nvidia",
    "NVIDIA NIM",
    "https://integrate.api.nvidia.com/v1",
    "NVIDIA_API_KEY",
    rename={"max_completion_tokens": "max_tokens"},
    errors=ERRORS,
    docs="https://docs.api.nvidia.com/nim/reference/llm-apis",
)
