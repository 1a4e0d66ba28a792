"""Canonical names: decide when names at different providers mean the same model.

A name passes through the tables below from top to bottom. Two names mean one model if they yield the same key. In doubt
they stay apart, because a missed fallback costs less than an answer from another model. So dated versions, sizes, base
and instruct models, quantised and accelerated re-hosts, and variants after a colon have their own names. An unknown
publisher stays in front of its models, because anybody may publish a tuned `llama-3.1-8b-instruct`.
"""

import re
from functools import lru_cache

# Patterns by which providers wrap a model's name: (provider, or "" for all; pattern; replacement). All apply, in order.
_WRAPPINGS = (
    ("openrouter", r"^~", ""),  # in front of names that mean the newest of a family
    ("", r"^(publishers/[^/]+/)?models/", ""),
    # Bedrock: [inference profile.]publisher.model[-v1][:0], https://docs.aws.amazon.com/bedrock/latest/userguide/models-supported.html
    ("bedrock", r"^(us-gov|us|eu|apac|jp|au|ca|in|sa|global)\.", ""),
    ("bedrock", r"^deepseek\.v3-v1:0$", "deepseek-v3.1"),  # according to its model card
    ("bedrock", r"^(us-gov\.)?nvidia\.nemotron-nano-12b-v2$", "nemotron-nano-12b-v2-vl"),  # it has vision
    ("bedrock", r"^deepseek\.r1-v1:0$", "deepseek-r1-0120"),  # the id is older than R1-0528
    ("bedrock", r"^deepseek\.(?=[rv]\d)", "deepseek-"),
    ("bedrock", r"^anthropic\.claude-v2:1", "claude-2.1"),
    ("bedrock", r"^anthropic\.claude-v2", "claude-2.0"),
    ("bedrock", r"^[a-z0-9]+\.(?=[a-z])", ""),
    ("bedrock", r"(?<=-\d{8})-v\d+:\d+(:\w+)?$", ""),
    ("bedrock", r"-v0:(?=\d$)", "-v0."),
    ("bedrock", r":(\d+k|mm)$", ""),
    ("bedrock", r"(?<!-text)(?<!-image)(?<!-generator)-v1(:0)?$", ""),  # Titan's versions are separate models
    ("bedrock", r"(-1)?:0$", ""),
    # Vertex: [publisher/]model[@version][-maas], https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/use-partner-models
    ("vertex", r"@default$", ""),
    ("vertex", r"@(?=\d)", "-"),
    ("vertex", r"-maas$", ""),
    # Fireworks: accounts/ACCOUNT/models/NAME with `p` for the point, https://docs.fireworks.ai/getting-started/concepts
    ("fireworks", r"^accounts/fireworks/(models|routers)/", ""),
    ("fireworks", r"(?<=\d)p(?=\d)", "."),
    ("fireworks", r"^llama-v(?=\d)", "llama-"),
    ("azure", r"^(eu|us|us-gov|apac|global|global-standard)/", ""),
    # DeepSeek's names mean its newest release: https://api-docs.deepseek.com/quick_start/pricing
    ("deepseek", r"^deepseek-flash$", "deepseek-v4.1-flash-1017"),
    ("deepseek", r"^deepseek-v4-pro$", "deepseek-v4-pro-0813"),
    ("azure", r"^gpt-35-turbo(-16k)?$", r"gpt-35-turbo\1@azure"),  # the version is chosen at deployment
    ("azure", r"^gpt-35-", "gpt-3.5-"),
    ("azure", r"^whisper$", "whisper-1"),
    # Tuned, by their titles in the tables.
    ("bedrock", r"^gemma-4-(31b|26b-a4b|e2b)$", r"gemma-4-\1-it"),
    ("cerebras", r"^gemma-4-31b$", "gemma-4-31b-it"),
    ("tinfoil", r"^gemma4-31b$", "gemma-4-31b-it"),
    ("mistral", r"^zai-(?=glm-)", ""),
    ("ollama-cloud", r":(?=\d+b$|\d{4}$)", "-"),
    ("clarifai", r"/(chat-completion|completion)/models/", "/"),
    ("siliconflow-cn", r"^pro/", ""),  # the same models with higher limits
    ("requesty", r"@(eu|us)$", ""),
    ("synthetic", r"^hf:", ""),
    ("databricks", r"^databricks-", ""),
    ("snowflake", r"^openai-", ""),
    ("digitalocean", r"^(alibaba|anthropic|openai|mistral)-(?=(qwen|claude|gpt|o\d|mistral))", ""),
    ("cloudflare", r"^(workers-ai/)?@(cf|hf)/", ""),
    ("oci", r"^(meta|xai|cohere|google|openai)\.", ""),
    ("sap-ai-core", r"^anthropic--", ""),
    ("venice", r"^(openai|zai-org|z-ai|google|nvidia)-(?=(gpt|glm|gemma|nemotron))", ""),
    ("venice", r"^(gpt-|minimax-m)(\d)(\d)(?=-|$)", r"\1\2.\3"),
    ("together", r"^deepseek-ai/deepseek-v3$", "deepseek-v3-0324"),  # its page names this version
    ("replicate", r"^deepseek-ai/deepseek-v3$", "deepseek-v3-0324"),
    ("cerebras", r"^llama3\.1-8b$", "llama-3.1-8b-instruct"),
    ("perplexity", r"^perplexity/", "perplexity-agent/"),  # its own versions have their own prices
    ("", r"^perplexity/(?=(sonar|pplx|r1-1776))", ""),
    ("groq", r"^llama-3\.3-70b-versatile$", "llama-3.3-70b-instruct"),  # its page names these weights
    ("groq", r"^llama-3\.1-8b-instant$", "llama-3.1-8b-instruct"),
)

# Publishers that add nothing in front of a slash, because the names of their models are unique.
_PUBLISHERS = frozenset((
    "ai21", "alibaba", "allenai", "amazon", "anthropic", "arcee", "arcee-ai", "baai", "baichuan", "baidu",
    "black-forest-labs", "bytedance", "bytedance-seed", "codellama", "cohere", "cohereforai", "cohere-labs",
    "databricks", "deepcogito", "deepseek", "deepseek-ai", "essentialai", "google", "gryphe", "ibm", "ibm-granite",
    "inception", "inceptionlabs", "inclusionai", "intfloat", "jetbrains", "kwaipilot", "lgai-exaone", "liquid",
    "liquidai", "meituan", "meta", "meta-llama", "meta-models", "microsoft", "minimax", "minimaxai", "mistral",
    "mistralai", "moonshot", "moonshotai", "nousresearch", "nvidia", "openai", "openrouter-openai", "poolside",
    "primeintellect", "prime-intellect", "qwen", "reka", "rekaai", "sao10k", "sarvamai", "spacexai", "stabilityai",
    "stepfun", "stepfun-ai", "tencent", "thedrummer", "thinkingmachines", "thudm", "tiiuae", "upstage", "voyage",
    "voyageai", "writer", "x-ai", "xai", "xiaomi", "xiaomimimo", "z-ai", "zai", "zai-org", "zhipu", "zhipuai",
))  # fmt: skip

# Spellings of families, after `.`, `_` and blanks have become `-`: (pattern, replacement). All apply, in order.
_SPELLINGS = (
    (r"^meta-llama-", "llama-"),
    (r"^(llama|gemma|phi|glm|grok|nova|hermes)(?=\d)", r"\1-"),
    (r"^qwen-(?=\d)", "qwen"),
    (r"^nvidia-(?=(llama|nemotron))", ""),
    (r"^llama-3-3-70b$", "llama-3-3-70b-instruct"),  # no other exists
    (r"^llama-4-maverick(-17b(-128e)?-instruct)?$", "llama-4-maverick-17b-128e-instruct"),
    (r"^llama-4-scout(-17b(-16e)?-instruct)?$", "llama-4-scout-17b-16e-instruct"),
    (r"^claude-(opus|sonnet|haiku)(?=\d)", r"claude-\1-"),
    (r"^claude-(opus|sonnet|haiku)-(3(?:-\d)?)(?=-|$)", r"claude-\2-\1"),
    (r"^embed-v4$", "embed-v4-0"),
    (r"^claude-([4-9])-(sonnet|opus|haiku|fable)", r"claude-\2-\1"),
    (r"^claude-([4-9])-(\d)-(sonnet|opus|haiku|fable)", r"claude-\3-\1-\2"),
    (r"^(claude-(?:sonnet|opus)-4)-0$", r"\1"),
    # Each Claude name has always meant one dated version. Only 3.5 Sonnet had two:
    # https://docs.anthropic.com/en/docs/about-claude/models/overview
    (r"^(claude-(?!3-5-sonnet)[a-z0-9-]+?)-20\d{6}$", r"\1"),
    (r"^kimi-k2-(instruct-)?0905(-preview)?$", "kimi-k2-instruct-0905"),
    (r"^mistral-small-3-2-24b-instruct-2506$", "mistral-small-2506"),
    (r"^(nova-(?:2-)?(?:micro|lite|pro|premier))-v1$", r"\1"),
    # Only tuned versions exist: https://huggingface.co/Qwen
    (r"^qwen3-coder(-480b-a35b)?$", "qwen3-coder-480b-a35b-instruct"),
    (r"^qwen3-coder-30b-a3b$", "qwen3-coder-30b-a3b-instruct"),
    (r"^qwen3-(235b-a22b|30b-a3b)-2507$", r"qwen3-\1-instruct-2507"),
    (r"^qwen3-next-80b-a3b$", "qwen3-next-80b-a3b-instruct"),
    # Mistral's own names of open weights: https://docs.mistral.ai/getting-started/models/models_overview/
    (r"^ministral-(?:3-)?(3b|8b|14b)(?:-instruct)?-2512$", r"ministral-3-\1-instruct-2512"),
    (r"^ministral-3-(3b|8b|14b)-instruct$", r"ministral-3-\1-instruct-2512"),
    (r"^(mistral-large-2512|mistral-large-3(-675b-instruct(-2512)?)?)$", "mistral-large-3-675b-instruct-2512"),
    (r"^mistral-small-3-1-24b-instruct(-2503)?$", "mistral-small-2503"),
    (r"^mistral-small-3-2-24b-instruct$", "mistral-small-2506"),
    (r"^mistral-small-4(-119b)?(-2603)?$", "mistral-small-2603"),
    (r"^(devstral-2(-123b)?(-instruct)?(-2512)?|devstral-2512)$", "devstral-2-123b-instruct-2512"),
    (r"^(mistral-medium-3-5(-128b)?|mistral-medium-2604)$", "mistral-medium-3-5"),
    (r"^voxtral-small-24b-2507$", "voxtral-small-2507"),
    (r"^l3-8b-lunaris$", "l3-lunaris-8b"),
    (r"^(open-mistral-nemo|mistral-nemo(-instruct)?(-2407)?)$", "mistral-nemo-instruct-2407"),
    (r"^(open-mixtral-8x7b|mixtral-8x7b-instruct(-v0-1)?)$", "mixtral-8x7b-instruct-v0-1"),
    (r"^(open-mixtral-8x22b|mixtral-8x22b-instruct(-v0-1)?)$", "mixtral-8x22b-instruct-v0-1"),
    (r"^pixtral-12b(-2409)?$", "pixtral-12b-2409"),
)

# Names that may differ between providers. Most mean one model today and another tomorrow. They belong to their vendor.
# Another provider may serve a different model under such a name, so that name is kept apart as
# `name@provider`: (pattern, the vendor's own providers).
_APART = (
    (r"^deepseek-(chat|reasoner|coder)$", ("deepseek",)),
    # Later releases have the same name with a date. A host's undated name may mean any of them.
    (r"^deepseek-(r1|v3|v4-flash(-vision-exp)?|v4-pro|v4-1-flash)$", ("deepseek",)),
    (r"^kimi-k2$", ("moonshot",)),
    (r"^qwen3-(8-max|vl-plus)$", ("alibaba",)),
    (
        r"^(open-)?(mistral-(tiny|small|medium|large|moderation|ocr|embed)|codestral|devstral(-small|-medium)?)$",
        ("mistral",),
    ),
    (
        r"^(magistral-(small|medium)|ministral-(3b|8b)|pixtral-large|voxtral-(mini|small)|codestral-embed)$",
        ("mistral",),
    ),
    (r"^(qwen|qvq|qwq)-(?!image)[a-z-]+$|^qwen3-(max|coder-plus|coder-flash)$", ("alibaba",)),
    (r"^command(-light|-nightly|-r|-r-plus|-a)?$", ("cohere",)),
    (r"^(claude-3-5-sonnet|claude-(opus|sonnet|haiku))$", ("anthropic",)),
    (r"^(gemini-(pro|flash|flash-lite|pro-vision)(-latest)?)$", ("gemini", "vertex")),
    (r"^(gpt|chatgpt)-.*latest$", ("openai",)),
    (r"^(claude)-.*latest$", ("anthropic",)),
    (r"^grok-.*latest$", ("xai",)),
    (r"^(kimi|moonshot)-.*latest$", ("moonshot",)),
    (r"^(.*stral|mistral)-.*latest$", ("mistral",)),
    # Sizes of open weights without further words: base models at one provider, tuned ones at another.
    (r"^(llama|gemma|mistral|mixtral|codellama|falcon|starcoder)-[0-9-]*(x\d+)?\d*b$", ()),
    (r"^qwen(1-5|2|2-5)?(-coder|-math|-vl)?-\d+b$", ()),
    # Accelerated versions, which differ from host to host.
    (r"^(glm|deepseek|qwen\d|minimax|gpt-oss|llama|nemotron|kimi)-?.*-(fast|tput|basic|high-throughput)$", ()),
    (r"^(llama|deepseek|qwen\d|gemma).*-(turbo|lite)$", ()),
    (r"(^|-)latest$|^(auto|default|model-router)", ()),
)

_wrappings = [(provider, re.compile(pattern), to) for provider, pattern, to in _WRAPPINGS]
_spellings = [(re.compile(pattern), to) for pattern, to in _SPELLINGS]
_apart = [(re.compile(pattern), homes) for pattern, homes in _APART]
_separators = re.compile(r"[._\s-]+")


@lru_cache(maxsize=8192)  # of names
def key_of(provider: str, model: str) -> str:
    """Return the key that all names of one model share. `provider` is a provider of the catalog, or `""` for a name
    from a client or a configuration."""
    name = model.strip().lower()
    for only, pattern, to in _wrappings:
        if not only or only == provider:
            name = pattern.sub(to, name)
    publisher, slash, rest = name.rpartition("/")
    while slash and publisher.rpartition("/")[2] in _PUBLISHERS:
        name = rest if "/" not in publisher else f"{publisher.rpartition('/')[0]}/{rest}"
        publisher, slash, rest = name.rpartition("/")
    publisher = f"{publisher}/" if slash else ""
    name = _separators.sub("-", name.rpartition("/")[2]).strip("-")
    for pattern, to in _spellings:
        name = pattern.sub(to, name)
    name = publisher + name
    if provider:
        for pattern, homes in _apart:
            if pattern.search(name):
                return name if provider in homes else f"{name}@{provider}"
    return name
