"""The geographies in which Amazon Bedrock's inference profiles run models, by the region that sends the request.

A region can use the profiles of its own geography and the global ones:
https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html
"""

GLOBAL = "global"

# By the beginning of a region's name: the geographies whose profiles it can use, the narrowest first.
_BY_REGION = (
    ("us-gov-", ("us-gov",)),
    ("us-", ("us",)),
    ("eu-", ("eu",)),
    ("ca-", ("ca",)),
    ("sa-", ("sa",)),
    ("ap-northeast-1", ("jp", "apac")),
    ("ap-northeast-3", ("jp", "apac")),
    ("ap-southeast-2", ("au", "apac")),
    ("ap-southeast-4", ("au", "apac")),
    ("ap-south-", ("in", "apac")),
    ("ap-", ("apac",)),
)


def geographies_of(region: str) -> tuple[str, ...]:
    """Return the geographies that a region of AWS is in, the narrowest first; none for an unknown or empty region."""
    return next((found for start, found in _BY_REGION if region.startswith(start)), ())


def is_abroad(region: str, stated: str | None) -> bool:
    """Return whether the geography that a model's id states excludes a provider in this region. Nothing is excluded if
    the provider has no region, or the id states none."""
    return bool(region) and stated is not None and stated != GLOBAL and stated not in geographies_of(region)
