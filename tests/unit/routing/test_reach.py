"""The report of the providers and models that a virtual key can reach."""

from msgspec.structs import replace

from fakes.routing import endpoint, provider_key, snapshot
from pointsman.domain.identity import ProviderEntry, VirtualKey
from pointsman.domain.requirements import Requirement, Tag
from pointsman.domain.snapshots import Snapshot
from pointsman.domain.targets import candidate
from pointsman.routing.reach import Reach, UsedTag, reach_of

EU = Requirement("region", ("eu",), origin="virtual key ward")
DE = replace(
    endpoint("de", "k1", provider_key("off", 0.0)),
    tags={"region": (Tag("eu", "DPA, page 4", expires_at=100.0), Tag("ap"))},
)
US = replace(
    endpoint("us", replace(provider_key("k1"), tags={"region": (Tag("eu", "project"),)}), "k2"),
    tags={"region": (Tag("us"),)},
)


def configuration() -> Snapshot:
    return snapshot([DE, US], [candidate(US, "m"), candidate(DE, "m")])


def reach(unix_s: float = 0.0, **fields: object) -> Reach:
    key = VirtualKey(name="ward", digest=b"1", require=(EU,))
    return reach_of(replace(key, **fields), configuration(), unix_s)


def reached(found: Reach) -> set[tuple[str, str, str]]:
    return {(row.provider, row.key, row.model) for row in found.rows if not row.excluded}


def test_each_key_is_listed_with_the_tags_that_allow_it_or_the_reason_that_excludes_it() -> None:
    found = reach()
    assert found.requirements == (("region=eu", "virtual key ward"),)
    assert reached(found) == {("de", "k1", "*"), ("de", "k1", "m"), ("us", "k1", "*"), ("us", "k1", "m")}
    rows = {(row.provider, row.key, row.name): row for row in found.rows}
    assert rows["de", "k1", "chat"].tags == (UsedTag("region=eu", EU.origin, "eu", "DPA, page 4", 100.0),)
    assert rows["us", "k1", ""].tags == (UsedTag("region=eu", EU.origin, "eu", "project", None),)
    assert rows["us", "k2", ""].excluded == "region=eu (required by virtual key ward): its region is us"
    assert rows["de", "off", ""].excluded == "the weight of the provider key is 0"


def test_expired_tags_exclude() -> None:
    assert reached(reach(100.0)) == {("us", "k1", "*"), ("us", "k1", "m")}


def test_rights_of_the_virtual_key_exclude() -> None:
    found = reach(require=(), entries={"us": ProviderEntry("us", keys=frozenset({"k2"}), allow_models=("n",))})
    assert reached(found) == {("us", "k2", "*")}
    assert {row.excluded for row in found.rows if row.provider == "de"} == {
        "virtual key ward may not use this provider",
        "the weight of the provider key is 0",
        "virtual key ward may not use provider de",
    }
    assert reached(reach(allow_models=("us/*",))) == {("de", "k1", "*"), ("us", "k1", "*")}
