"""References are resolved to secrets, and no message shows a secret."""

from pathlib import Path

import pytest

from pointsman.config.references import MAX_SECRET_BYTES, BadReference, References

SECRET = "sk-live-0123456789"


def resolve(reference: str, folder: Path = Path(), environ: dict[str, str] | None = None) -> str:
    return References(environ or {}, folder).resolve(reference).reveal()


def test_environment_variable_is_resolved() -> None:
    assert resolve("env.KEY", environ={"KEY": SECRET}) == SECRET


def test_file_paths_start_at_the_folder_or_are_absolute(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{SECRET}\n")
    (tmp_path / "windows").write_bytes(f"{SECRET}\r\n".encode())
    assert resolve("file:key", tmp_path) == SECRET
    assert resolve("file:windows", tmp_path) == SECRET
    assert resolve(f"file:{tmp_path}/key") == SECRET


def test_resolved_references_are_remembered(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET)
    references = References({"KEY": SECRET}, tmp_path)
    references.resolve("file:key")
    references.resolve("env.KEY")
    with pytest.raises(BadReference):
        references.resolve("file:missing")
    assert references.files == {tmp_path / "key", tmp_path / "missing"}
    assert references.digests.keys() == {"file:key", "env.KEY"}
    assert SECRET not in str(references.digests)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("env.MISSING", "the environment variable MISSING is not set"),
        ("env.EMPTY", "env.EMPTY is empty"),
        ("env.BROKEN", "env.BROKEN contains a line break"),
        ("env.NUL", "env.NUL contains a line break or NUL"),
        ("env.SPACED", "env.SPACED has spaces around it"),
        ("env.FOREIGN", "env.FOREIGN has spaces around it, or characters that are not printable ASCII"),
        ("env.", "must be followed by the name"),
        ("env.A B", "must be followed by the name"),
        ("${OPENAI_API_KEY}", "write env.OPENAI_API_KEY"),
        ("$OPENAI_API_KEY", "write env.OPENAI_API_KEY"),
        ("os.environ/OPENAI_API_KEY", "write env.OPENAI_API_KEY"),
        (SECRET, "a secret must not be in this file"),
        ("file:missing", "file:missing cannot be read: No such file"),
        ("file:.", "file:. cannot be read: Is a directory"),
        ("file:lines", "file:lines contains a line break"),
        ("file:empty", "file:empty is empty"),
        ("file:binary", "file:binary is not UTF-8 text"),
        ("file:large", "is larger than"),
    ],
)
def test_errors_name_the_reference_and_never_the_value(tmp_path: Path, reference: str, message: str) -> None:
    environ = {
        "EMPTY": "",
        "BROKEN": f"{SECRET}\r\nx: y",
        "NUL": f"{SECRET}\0",
        "SPACED": f" {SECRET}",
        "FOREIGN": f"{SECRET}é",
    }
    (tmp_path / "lines").write_text(f"{SECRET}\n{SECRET}\n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "large").write_bytes(b"x" * (MAX_SECRET_BYTES + 1))
    with pytest.raises(BadReference) as caught:
        resolve(reference, tmp_path, environ)
    assert message in str(caught.value)
    assert SECRET not in str(caught.value)


def test_placeholders_replace_secrets_that_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET)
    references = References({"KEY": SECRET}, tmp_path, reads_secrets=False)
    values = {references.resolve(name).reveal() for name in ("env.KEY", "env.MISSING", "file:key", "file:missing")}
    assert len(values) == 4, "each reference has a placeholder of its own"
    assert SECRET not in values
    assert references.files == set()
    with pytest.raises(BadReference):
        references.resolve(SECRET)
    with pytest.raises(BadReference):
        references.resolve("env.not a name")
