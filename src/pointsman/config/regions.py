"""Compares the regions of clouds with the tags that state where requests are processed.

https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations,
https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html
"""

from collections.abc import Sequence

# The regions of Google Cloud and AWS in the European Union. London and Zurich are in neither list.
_EU = frozenset((
    "eu", "europe-central2", "europe-north1", "europe-north2", "europe-southwest1", "europe-west1", "europe-west3",
    "europe-west4", "europe-west8", "europe-west9", "europe-west10", "europe-west12",
    "eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3", "eusc-de-east-1",
))  # fmt: skip
_ELSEWHERE = ("europe-", "eu-", "asia", "australia", "northamerica-", "southamerica-", "me-", "africa-", "ap-", "ca-")
_AREAS = frozenset({"eu", "us"})


def contradiction(region: str, tags: Sequence[str]) -> str:
    """Return the reason why the values of the tag `region` do not hold for a cloud's region; empty if none is wrong.
    Only the values `eu` and `us` are compared, since others may mean anything."""
    stated = _AREAS.intersection(tag.lower() for tag in tags)
    if not stated or not region:
        return ""
    if region == "global":
        return f"the region global may be anywhere, so the tag {_listed(stated)} does not hold; set another region"
    if region in _EU:
        area = "eu"
    elif region == "us" or region.startswith("us-"):
        area = "us"
    elif region.startswith(_ELSEWHERE):
        area = ""
    else:
        return ""
    wrong = stated - {area}
    return f"the region {region} is outside of {_listed(wrong)}; correct the tag or the region" if wrong else ""


def _listed(areas: frozenset[str]) -> str:
    return " and ".join(sorted(areas))
