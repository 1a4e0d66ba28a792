"""Prices of tools that providers run themselves, by the catalog's names of providers, in dollars per thousand calls.
They are the highest known in November 2026. Those of Perplexity and OpenRouter were looked up; the others were not
checked against the provider's page. `pricing.overrides` takes precedence over this table.

A tool without a row has no known price, so a budget rejects it. A tool that costs nothing besides tokens has 0.
"""

from pointsman.domain.prices import ToolPrice

# https://platform.openai.com/docs/pricing (`Built-in tools`). A search by `web_search_preview` costs less with models
# that reason. An image has the highest price of GPT Image: high quality, with input images and three previews.
_OPENAI = {
    "web_search": 10.0,
    "web_search_preview": 25.0,
    "web_search_options": 25.0,
    "file_search": 2.5,
    "image_generation": 350.0,
    "mcp": 0.0,
    "tool_search": 0.0,
}
# The price of one container for its whole life, by its memory.
_OPENAI_CONTAINERS = {"": 30.0, ":4g": 120.0, ":16g": 480.0, ":64g": 1920.0}

# https://docs.x.ai/docs/models (`Tools pricing`); Live Search is priced per source.
_XAI = {
    "live_search": 25.0,
    "web_search": 10.0,
    "x_search": 10.0,
    "code_interpreter": 10.0,
    "code_execution": 10.0,
    "file_search": 2.5,
    "collections_search": 2.5,
    "mcp": 0.0,
}

# https://docs.perplexity.ai/docs/getting-started/pricing; the highest price charged during 2026.
_PERPLEXITY = {"web_search": 5.0, "image_search": 5.0, "fetch_url": 0.5, "people_search": 5.0, "finance_search": 5.0}

# https://openrouter.ai/docs/guides/features/plugins/web-search: each result of Exa; a native search costs its
# provider's price, at most $35, for the default of five results.
_OPENROUTER = {
    "plugin:web": 7.0,
    "plugin:response-healing": 0.0,
    "plugin:context-compression": 0.0,
    "openrouter:web_search": 40.0,
    "openrouter:web_fetch": 1.0,
    "openrouter:datetime": 0.0,
}

# https://groq.com/pricing (`Built-in tools`): an advanced search. Code and browsers are charged by the hour;
# one use takes a few minutes at most.
_GROQ = {"compound": 8.0, "browser_search": 8.0, "code_interpreter": 18.0, "mcp": 0.0}

# https://mistral.ai/pricing (`Connectors`)
_MISTRAL = {"web_search": 30.0, "web_search_premium": 50.0, "code_interpreter": 30.0, "image_generation": 100.0}

# https://docs.claude.com/en/docs/about-claude/pricing, through its OpenAI-compatible API
_ANTHROPIC = {"web_search": 10.0, "web_fetch": 0.0}


def _priced(usd_per_thousand: dict[str, float]) -> dict[str, ToolPrice]:
    return {name: ToolPrice(round(usd * 1_000_000)) for name, usd in usd_per_thousand.items()}


def _containers(tool: str) -> dict[str, ToolPrice]:
    return {tool + memory: ToolPrice(round(usd * 1_000_000), once=True) for memory, usd in _OPENAI_CONTAINERS.items()}


_OPENAI_TOOLS = _priced(_OPENAI) | _containers("code_interpreter") | _containers("shell")
TOOL_PRICES: dict[str, dict[str, ToolPrice]] = {
    "openai": _OPENAI_TOOLS,
    "azure": _OPENAI_TOOLS,
    "xai": _priced(_XAI),
    "perplexity": _priced(_PERPLEXITY),
    "openrouter": _priced(_OPENROUTER),
    "groq": _priced(_GROQ),
    "mistral": _priced(_MISTRAL),
    "anthropic": _priced(_ANTHROPIC),
}

# Models that use a tool without being asked: the pattern, the tool, and the largest number of uses.
TOOL_MODELS: dict[str, tuple[tuple[str, str, int], ...]] = {
    "openai": (
        ("*-search-preview*", "web_search_options", 1),
        ("*-search-api*", "web_search_options", 1),
    ),
    "openrouter": (("*:online", "plugin:web", 5), ("perplexity/sonar*", "openrouter:web_search", 5)),
    # https://console.groq.com/docs/compound/systems
    "groq": (
        ("*compound-mini*", "compound", 1),
        ("*compound-beta-mini*", "compound", 1),
        ("*compound*", "compound", 10),
    ),
}
