"""Tencent's TokenHub: OpenAI-compatible, with Hunyuan and open models. https://cloud.tencent.com/document/product/1729

In China the address is https://tokenhub.tencentmaas.com/v1.
"""

from pointsman.providers._openai_codecs import NEWER, OLDER
from pointsman.providers._openai_compatible import openai_compatible

PROVIDER = openai_compatible(
    "tencent",
    "Tencent TokenHub",
    "https://tokenhub-intl.tencentcloudmaas.com/v1",
    "TENCENT_API_KEY",
    embeddings=False,
    completions=False,
    output_bound=OLDER,
    rename={NEWER: OLDER},
    docs="https://cloud.tencent.com/document/product/1729",
)
