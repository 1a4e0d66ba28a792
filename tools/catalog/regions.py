"""The regions that ids of models state. The catalog keeps them as facts."""

import re

# Regions that an id itself states. No other id reveals its region.
# Azure names them by deployment type, https://learn.microsoft.com/azure/ai-foundry/foundry-models/concepts/deployment-types
_AZURE_REGIONS = {
    "eu": "eu",
    "us": "us",
    "apac": "apac",
    "us-gov": "us-gov",
    "global": "global",
    "global-standard": "global",
}
_PROFILES = re.compile(r"^(us-gov|us|eu|apac|jp|au|ca|in|sa|global)\.")


def region_of(provider: str, model: str) -> str | None:
    """Return the region that an id states: `eu` for a European inference profile of Bedrock, `global` for a profile
    that may leave its region and so guarantees no residency. `None` means that the region is unknown."""
    if provider == "bedrock":
        found = _PROFILES.match(model.lower())
        return found[1] if found else None
    if provider == "azure":
        return _AZURE_REGIONS.get(model.lower().partition("/")[0])
    if provider == "requesty" and model.lower().endswith(("@eu", "@us")):
        return model.lower().rpartition("@")[2]
    return None
