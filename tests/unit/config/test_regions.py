"""A tag that a cloud's region contradicts is an error."""

import pytest

from fakes.configuration import OPEN, checked, found
from pointsman.config.regions import contradiction


@pytest.mark.parametrize(
    ("region", "tags"),
    [
        ("europe-west4", ["eu"]),
        ("eu", ["EU"]),
        ("eu-central-1", ["eu"]),
        ("us-central1", ["us"]),
        ("us", ["us"]),
        ("us-gov-west-1", ["us", "gov"]),
        ("global", ["global"]),
        ("europe-west2", ["uk"]),
        ("unheard-of", ["eu"]),
        ("", ["eu"]),
        ("us-east1", []),
    ],
)
def test_tag_that_may_hold_is_no_contradiction(region: str, tags: list[str]) -> None:
    assert contradiction(region, tags) == ""


@pytest.mark.parametrize(
    ("region", "tags", "reason"),
    [
        ("us-central1", ["eu"], "the region us-central1 is outside of eu; correct the tag or the region"),
        ("europe-west4", ["eu", "us"], "the region europe-west4 is outside of us"),
        ("europe-west2", ["eu"], "the region europe-west2 is outside of eu"),  # London
        ("europe-west6", ["eu"], "the region europe-west6 is outside of eu"),  # Zurich
        ("eu-west-2", ["eu"], "the region eu-west-2 is outside of eu"),  # London
        ("asia-northeast1", ["us"], "the region asia-northeast1 is outside of us"),
        ("global", ["eu"], "the region global may be anywhere, so the tag eu does not hold"),
    ],
)
def test_contradiction_names_both(region: str, tags: list[str], reason: str) -> None:
    assert contradiction(region, tags).startswith(reason)


@pytest.mark.parametrize("at", ["provider", "key"])
def test_configuration_with_a_contradiction_is_rejected(at: str) -> None:
    tags = "tags: {region: eu}"
    key, provider = (f", {tags}", "") if at == "key" else ("", f", {tags}")
    text = (
        f"providers: {{vertex: {{keys: {{a: {{google: adc{key}}}}}, project: my-project, region: us-east1{provider}}}}}"
    )
    place = "providers.vertex.keys.a.tags.region" if at == "key" else "providers.vertex.tags.region"
    assert found(checked(OPEN + text)) == [
        f"{place}: the region us-east1 is outside of eu; correct the tag or the region"
    ]
