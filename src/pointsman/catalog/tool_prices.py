"""The prices of tools that providers run themselves, by the catalog's names of providers, in dollars for a
thousand calls. The highest known in November 2026. Those of Perplexity and OpenRouter were looked up, the
others were not checked against the provider's page; `pricing.overrides` outranks this table.

A tool with no row has no known price: under a budget it is refused. One that costs nothing beside tokens has 0.
"""

from pointsman.domain.prices import ToolPrice

# https://platform.openai.com/docs/pricing (`Built-in tools`). A search by `web_search_preview` costs less with models
# that reason. An image is the dearest that GPT Image makes: high quality, with images to begin from and three previews.
_OPENAI = {
    "web_search": 10.0,
    "web_search_preview": 25.0,
    "web_search_options": 25.0,
    "file_search": 2.5,
    "image_generation": 350.0,
    "mcp": 0.0,
    "tool_search": 0.0,
}
# A container for as long as it lives, by its memory.
_OPENAI_CONTAINERS = {"": 30.0, ":4g": 120.0, ":16g": 480.0, ":64g": 1920.0}

# https://docs.x.ai/docs/models (`Tools pricing`); sources of Live Search each.
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

# https://docs.perplexity.ai/docs/getting-started/pricing; the dearer of what it charged during 2026.
_PERPLEXITY = {"web_search": 5.0, "image_search": 5.0, "fetch_url": 0.5, "people_search": 5.0, "finance_search": 5.0}

# https://openrouter.ai/docs/guides/features/plugins/web-search: each result of Exa; a native search costs its
# provider's price, $35 at the most, for the five results that are the default.
_OPENROUTER = {
    "plugin:web": 7.0,
    "plugin:response-healing": 0.0,
    "plugin:context-compression": 0.0,
    "openrouter:web_search": 40.0,
    "openrouter:web_fetch": 1.0,
    "openrouter:datetime": 0.0,
}

# https://groq.com/pricing (`Built-in tools`): an advanced search; code and browsers are charged by the hour, of which
# one use takes minutes at the most.
_GROQ = {"compound": 8.0, "browser_search": 8.0, "code_interpreter": 18.0, "mcp": 0.0}

# https://mistral.ai/pricing (`Connectors`)
_MISTRAL = {"web_search": 30.0, "web_search_premium": 50.0, "code_interpreter": 30.0, "image_generation": 100.0}

# https://docs.claude.com/en/docs/about-claude/pricing, by way of its dialect of OpenAI's
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

# Models that use a tool whether or not they are asked to: the pattern, the tool, and how often at most.
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
