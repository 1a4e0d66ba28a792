"""The catalog in force: the package's own, or an installed one."""

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from fakes.configuration import ENVIRON, OPEN, accept, checked, compiled, found
from pointsman.catalog.reader import CatalogError
from pointsman.config.catalog import (
    CURRENT,
    FOLDER,
    LISTS,
    Lists,
    by_name,
    install,
    packaged,
    read_catalog,
    revert,
    write_lists,
)
from pointsman.config.snapshot_file import read_snapshot

TEXT = OPEN + "providers: {openai: env.OPENAI_API_KEY}"


def content(date: str, model: str = "brand-new") -> bytes:
    """Return a catalog of one model."""
    file = {
        "format": 1,
        "date": date,
        "sources": {},
        "provenance": [{}],
        "providers": {"openai": {"hosts": [], "models": {model: {"name": model, "context": 1000, "from": 0}}}},
        "names": {model: [model, f"openai/{model}"]},
    }
    return json.dumps(file).encode()


def test_package_catalog_is_the_default(tmp_path: Path) -> None:
    assert read_catalog(None).catalog is read_catalog(tmp_path).catalog is packaged()
    assert packaged().date > "2026"


def test_installed_catalog_is_in_force_until_it_is_reverted(tmp_path: Path) -> None:
    install(tmp_path, content("9999-01-01"), force=True)
    install(tmp_path, content("9999-01-02", "newer-still"), force=True)
    assert read_catalog(tmp_path).catalog.name_of("newer-still") == "newer-still"
    assert revert(tmp_path).name_of("brand-new") == "brand-new"
    assert read_catalog(tmp_path).catalog.date == "9999-01-01"
    assert revert(tmp_path) is packaged()
    with pytest.raises(FileNotFoundError):
        revert(tmp_path)


def test_faulty_or_older_catalog_is_not_installed(tmp_path: Path) -> None:
    install(tmp_path, content("9999-01-02"), force=True)
    for bad, reason in (
        (b"{", "not a catalog"),
        (content("9999-01-01"), "is before that of"),
        (content("9999")[:-40], "not a catalog"),
    ):
        with pytest.raises(CatalogError, match=reason):
            install(tmp_path, bad)
    dangling = json.loads(content("9999-01-03")) | {"names": {"x": ["x", "openai/x"]}}
    with pytest.raises(CatalogError, match="has no entry"):
        install(tmp_path, json.dumps(dangling).encode())
    assert read_catalog(tmp_path).catalog.date == "9999-01-02"
    assert {path.name for path in (tmp_path / FOLDER).iterdir()} == {CURRENT}


def changed(edit: Callable[[str, dict[str, Any]], object]) -> bytes:
    """Return the release's catalog after a change of every entry, given with its provider."""
    file = json.loads(files("pointsman.catalog").joinpath("models.json").read_bytes())
    for provider, listed in file["providers"].items():
        for entry in listed["models"].values():
            edit(provider, entry)
    return json.dumps(file).encode()


def dearer(provider: str, entry: dict[str, Any]) -> None:
    if provider == "openai" and "price" in entry:
        entry["price"]["rates"]["input"] *= 4


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda _, entry: entry.pop("price", None), r"it has no price for \d+ of \d+ served models, such as"),
        (lambda name, entry: name == "groq" and entry.pop("price", None), "of them at groq, which has "),
        (dearer, "changes prices by a factor above 3 for .* at openai"),
        (
            lambda _, entry: entry.update(deprecated_on="2026-11-01"),
            r"it retires, as of today, \d+ of \d+ served models",
        ),
    ],
)
def test_catalog_that_loses_too_much_needs_force(
    tmp_path: Path, edit: Callable[[str, dict[str, Any]], object], reason: str
) -> None:
    damaged = changed(edit)
    with pytest.raises(CatalogError, match=reason):
        install(tmp_path, damaged)
    assert not (tmp_path / FOLDER).exists()
    install(tmp_path, damaged, force=True)


def test_catalog_with_few_changes_is_installed(tmp_path: Path) -> None:
    install(tmp_path, changed(lambda _, entry: entry["name"] == "gpt-4o" and entry.pop("price", None)))
    assert (tmp_path / FOLDER / CURRENT).exists()


@pytest.mark.parametrize("day", ["2026-11-31", "tomorrow", "20261130"])
def test_date_must_be_a_day(tmp_path: Path, day: str) -> None:
    with pytest.raises(CatalogError, match="is not a day, such as 2026-11-30"):
        install(tmp_path, content(day), force=True)


def test_newer_catalog_is_used_and_a_damaged_one_ignored(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    (folder / CURRENT).write_bytes(content("2000-01-01"))
    assert read_catalog(tmp_path).catalog is packaged()
    (folder / CURRENT).write_bytes(b"damaged")
    in_use = read_catalog(tmp_path)
    assert in_use.catalog is packaged()
    assert in_use.problem is not None
    (tmp_path / "data").symlink_to(tmp_path)
    (warning,) = found(checked(TEXT, folder=tmp_path), "warning")
    assert "cannot be used" in warning


def test_digest_of_a_configuration_changes_with_its_catalog(tmp_path: Path) -> None:
    before = compiled(TEXT, folder=tmp_path).snapshot
    install(tmp_path / "data", content("9999-01-01"), force=True)
    after = compiled(TEXT, folder=tmp_path).snapshot
    assert after.digest != before.digest
    assert after.pricing.catalog.name_of("brand-new") == "brand-new"
    write_lists(tmp_path / "data", Lists({"openai": ["unheard-of", "brand-new"]}))
    listed = compiled(TEXT, folder=tmp_path).snapshot
    assert listed.digest not in (before.digest, after.digest)
    assert listed.endpoints["openai"].listed == {"unheard-of": ("unheard-of",), "brand-new": ("brand-new",)}


def test_new_catalog_does_not_stop_the_gateway_from_starting(tmp_path: Path) -> None:
    """An accepted configuration may name a model that a later catalog no longer has."""
    accept(tmp_path / "snapshot", TEXT + "\nmodels: {a: [gpt-4o-mini]}")
    install(tmp_path / "data", content("9999-01-01"), force=True)
    compiled_ = read_snapshot(tmp_path / "snapshot", ENVIRON)
    assert [item.id for item in compiled_.snapshot.models["a"].targets] == ["openai/gpt-4o-mini"]


def test_damaged_list_adds_no_models(tmp_path: Path) -> None:
    write_lists(tmp_path, Lists({"a": ["b"]}))
    assert read_catalog(tmp_path).lists == Lists({"a": ["b"]})
    (tmp_path / FOLDER / LISTS).write_bytes(b"[")
    assert read_catalog(tmp_path).lists == Lists()


def test_models_of_a_list_are_keyed_by_canonical_names() -> None:
    models = ["accounts/fireworks/models/kimi-k2p5", "accounts/me/models/mine"]
    assert by_name(packaged(), "fireworks", models) == {
        "kimi-k2.5": ("accounts/fireworks/models/kimi-k2p5",),
        "accounts/me/models/mine": ("accounts/me/models/mine",),
    }


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ("openai: env.OPENAI_API_KEY", "openai"),
        ("x: {type: openai-compatible, base_url: 'https://api.deepinfra.com/v1/openai'}", "deepinfra"),
        ("x: {type: openai-compatible, base_url: 'https://llm.example/v1', catalog: nebius}", "nebius"),
        ("x: {type: openai-compatible, base_url: 'https://llm.example/v1'}", ""),
        ("openai: {keys: {k: env.OPENAI_API_KEY}, catalog: ''}", ""),
    ],
)
def test_catalog_of_a_provider_follows_its_address_or_its_setting(provider: str, expected: str) -> None:
    (endpoint,) = compiled(f"{OPEN}providers:\n  {provider}\n").snapshot.endpoints.values()
    assert endpoint.catalog == expected


def test_unknown_catalog_provider_is_a_warning() -> None:
    outcome = checked(OPEN + "providers: {openai: {keys: {k: env.OPENAI_API_KEY}, catalog: opnai}}")
    (message,) = found(outcome, "warning")
    assert message == "providers.openai.catalog: the catalog has no provider 'opnai'; did you mean 'openai'?"
