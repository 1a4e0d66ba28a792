"""The keys of the document and those of the keys file form one table."""

from pathlib import Path

from fakes.configuration import checked, compiled, errors
from fakes.many_keys import write_keys

TEXT = """\
providers: {openai: env.OPENAI_API_KEY}
governance: {keys_file: keys.jsonl, teams: {team-0: {}, team-1: {}}, customers: {acme: {}}}
"""


def test_missing_keys_file_is_an_error_and_is_watched(tmp_path: Path) -> None:
    (message,) = errors(TEXT, folder=tmp_path)
    assert message.endswith("keys.jsonl cannot be read: No such file or directory")
    assert tmp_path / "keys.jsonl" in checked(TEXT, folder=tmp_path).secret_files, "it may be created later"


def test_prices_may_name_a_key_of_the_keys_file(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys.jsonl", 1)
    price = "{model: openai/x, virtual_key: %s, input_usd_per_million: 1, output_usd_per_million: 1}"
    compiled(TEXT + f"pricing: {{overrides: [{price % 'user-000000'}]}}\n", folder=tmp_path)
    (message,) = errors(TEXT + f"pricing: {{overrides: [{price % 'nobody'}]}}\n", folder=tmp_path)
    assert "unknown virtual key 'nobody'" in message


def test_owners_are_teams_and_customers(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys.jsonl", 2)
    assert compiled(TEXT, folder=tmp_path).owners == {"team:team-0", "team:team-1", "customer:acme"}


def test_configuration_without_a_keys_file_has_no_directory(tmp_path: Path) -> None:
    text = TEXT.replace("keys_file: keys.jsonl, ", "virtual_keys: {me: env.CLIENT_KEY}, ")
    assert isinstance(compiled(text, folder=tmp_path).snapshot.virtual_keys, dict)
