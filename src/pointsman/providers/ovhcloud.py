"""OVHcloud AI Endpoints: OpenAI-compatible. https://www.ovhcloud.com/en/public-cloud/ai-endpoints/catalog/

Without a key it answers two requests a minute, so a key is required here. With one, a model answers 400 requests a
minute, and 429 to more: `endpoints_guide_01_getting_started` in https://github.com/ovh/docs. The shared rules
apply to its errors.
"""

from pointsman.providers._openai_codecs import NEWER, OLDER
from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "ovhcloud",
    "OVHcloud",
    "https://oai.endpoints.kepler.ai.cloud.ovh.net/v1",
    "OVH_AI_ENDPOINTS_ACCESS_TOKEN",
    completions=False,
    output_bound=OLDER,
    rename={NEWER: OLDER},
    docs="https://www.ovhcloud.com/en/public-cloud/ai-endpoints/catalog/",
)
