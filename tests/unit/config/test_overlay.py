"""The overlay of the catalog: its form, its place in a configuration, and its mistakes."""

from datetime import date
from pathlib import Path

import pytest

from fakes.configuration import ENVIRON, OPEN, accept, checked, compiled, errors
from pointsman.catalog.reader import ModelCatalog
from pointsman.config.catalog import packaged
from pointsman.config.overlay import OverlayError, lay_over, overlay_path, overlay_schema, parse_overlay, read_overlay
from pointsman.config.overlay_schema import Capability
from pointsman.config.snapshot_file import read_snapshot
from pointsman.config.source import MAX_BYTES
from pointsman.money.terms import terms_of
from pointsman.routing.router import router_of

FILE = Path("overlay.yaml")
TEXT = OPEN + "providers: {openai: env.OPENAI_API_KEY, local: {type: vllm, base_url: 'http://127.0.0.1:9/v1'}}\n"
NEW = "{like: gpt-5, input_usd_per_million: 2, output_usd_per_million: 8, priced_on: 2026-11-29}"


def over(text: str) -> ModelCatalog:
    return lay_over(packaged(), parse_overlay(text.encode(), FILE), FILE)


def problems(text: str) -> list[str]:
    with pytest.raises(OverlayError) as caught:
        over(text)
    return caught.value.problems


def test_overlay_adds_a_model_with_a_price(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"models:\n  openai/gpt-99: {NEW}\n  local/own: {{context_tokens: 5}}\n")
    found = compiled(TEXT + "catalog: {overlay: mine.yaml}", folder=tmp_path)
    public = router_of(found.snapshot).resolve("gpt-99")
    assert public is not None
    price = terms_of(None, public.targets[0], found.snapshot).price
    assert price is not None
    assert price.rates.input == 2_000_000
    own = router_of(found.snapshot).resolve("own")
    assert own is not None
    assert [item.id for item in own.targets] == ["local/own"]
    assert found.overlay == tmp_path / "mine.yaml"
    assert tmp_path / "mine.yaml" in found.secret_files, "it is watched"


def test_overlay_of_the_data_folder_needs_no_setting(tmp_path: Path) -> None:
    path = overlay_path(tmp_path / "data", None)
    assert not checked(TEXT, folder=tmp_path).problems
    path.parent.mkdir(parents=True)
    path.write_text(f"models: {{openai/gpt-99: {NEW}}}")
    assert router_of(compiled(TEXT, folder=tmp_path).snapshot).resolve("gpt-99") is not None


def test_snapshot_needs_no_file_of_the_overlay(tmp_path: Path) -> None:
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(f"models: {{openai/gpt-99: {NEW}}}")
    before = accept(tmp_path / "snapshot", TEXT + "catalog: {overlay: mine.yaml}")
    overlay.write_text("models: [")
    after = read_snapshot(tmp_path / "snapshot", ENVIRON)
    assert after.snapshot.pricing.catalog.find("openai", "gpt-99") is not None
    assert after.snapshot.digest == before.snapshot.digest


def test_faulty_overlay_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("models:\n  openai/gpt-99: {contxt_tokens: 5}\n")
    (message,) = errors(TEXT + "catalog: {overlay: mine.yaml}", folder=tmp_path)
    assert 'mine.yaml:2: models."openai/gpt-99".contxt_tokens: unknown field' in message
    assert message.endswith("; did you mean 'context_tokens'?")
    (warning,) = checked(TEXT + "catalog: {overlay: absent.yaml}", folder=tmp_path).problems
    assert warning.message.endswith("absent.yaml does not exist; `pointsman catalog add` creates it")


def test_provider_with_models_of_another_one_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("models: {work/gpt-99: {context_tokens: 5}}")
    text = OPEN + "providers: {work: {type: openai, keys: {k: env.OPENAI_API_KEY}}}\ncatalog: {overlay: mine.yaml}"
    (message,) = errors(text, folder=tmp_path)
    assert message == "catalog.overlay: the models of work are those of openai in the catalog; write openai/gpt-99"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: {opnai/x: {}}", "has a provider 'opnai'; did you mean 'openai'?"),
        (
            "models: {openai/x: {like: gpt-5.11x}}",
            ".like: the catalog does not know 'gpt-5.11x'; did you mean 'gpt-5.1'?",
        ),
        ("models: {openai/gpt-4o: {like: gpt-5}}", "openai/gpt-4o is in the catalog already; remove `like`"),
        ("models: {openai/x: {input_usd_per_million: 1}}", "set both input_usd_per_million and output_usd_per_million"),
        ("models: {openai/x: {can: [tools], cannot: [tools]}}", "`can` and `cannot` both list tools"),
        ("models: {openai/x: {can: [tool]}}", "must be 'tools', 'parallel_tools'"),
        ("models: {openai/x: {retires_on: soon}}", "must be a day, such as 2027-03-31, or `never`"),
        ("models: {openai/x: {priced_on: 2026-11-30}}", "`priced_on` is the day of a price; set the price too"),
        ("models: {gpt-4o: {}}", "write it as provider/model, without spaces"),
        (
            "models: {openai/gpt-4o-minni: {input_usd_per_million: 1, output_usd_per_million: 2}}",
            "the catalog has no model 'gpt-4o-minni' at openai, and a new one needs `like`, `name`, or both ",
        ),
        ("models: {openai/gpt-4oo: {retires_on: 2027-03-31}}", "and a price; did you mean 'gpt-4o'?"),
        ("models: {openai/GPT-4O: {context_tokens: 5}}", "the catalog has this model as openai/gpt-4o; write it so"),
        (
            "models: {anthropic/claude-sonnet-4.6: {input_usd_per_million: 1, output_usd_per_million: 2}}",
            "the catalog has this model as anthropic/claude-sonnet-4-6; write it so",
        ),
        ("model: {}", "unknown field; did you mean 'models'?"),
        ("models: {openai/x: {}, openai/x: {}}", "duplicate key"),
    ],
)
def test_mistake_is_rejected_with_its_place(text: str, message: str) -> None:
    found = problems(text)
    assert message in found[0]
    assert found[0].startswith("overlay.yaml:1: ")
    assert len(found) == 1


@pytest.mark.parametrize(
    "entry",
    [
        "openai/gpt-4oo: {like: gpt-4o}",
        "openai/gpt-4oo: {name: gpt-4oo}",
        "openai/gpt-4oo: {context_tokens: 5, input_usd_per_million: 1, output_usd_per_million: 2}",
        "openai/gpt-4o: {context_tokens: 5}",
    ],
)
def test_new_model_says_so(entry: str) -> None:
    assert over(f"models: {{{entry}}}").find("openai", entry.partition(":")[0].partition("/")[2]) is not None


def test_empty_overlay_changes_nothing() -> None:
    for text in ("# nothing yet\n", "models:\n", "models: {}\n"):
        facts = over(text).find("openai", "gpt-4o")
        assert facts == packaged().find("openai", "gpt-4o")


def test_retirement_may_be_a_day_or_never() -> None:
    dates = over("models: {openai/a: {name: a, retires_on: 2027-03-31}, openai/gpt-4o: {retires_on: never}}")
    retired, kept = dates.find("openai", "a"), dates.find("openai", "gpt-4o")
    assert retired is not None
    assert kept is not None
    assert (retired.deprecated_on, kept.deprecated_on) == (date(2027, 3, 31).isoformat(), None)


def test_missing_or_large_file_is_reported(tmp_path: Path) -> None:
    assert read_overlay(tmp_path / "absent") is None
    (tmp_path / "large").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(OverlayError, match=f"is larger than {MAX_BYTES} bytes; remove changes that the catalog has"):
        read_overlay(tmp_path / "large")
    with pytest.raises(OverlayError, match="cannot be read"):
        read_overlay(tmp_path)


def test_schema_lists_the_fields_and_capabilities() -> None:
    from typing import get_args

    from pointsman.catalog.search import CAPABILITIES

    fields = overlay_schema()["$defs"]["OverlayEntry"]["properties"]
    assert {"like", "retires_on", "priced_on", "context_tokens", "input_usd_per_million"} <= set(fields)
    assert set(get_args(Capability)) == CAPABILITIES
