"""Settings of the environment replace those of the file."""

from pathlib import Path

import pytest

from fakes.configuration import ENVIRON, OPEN, compiled, errors
from pointsman.config.overrides import default_data_dir

FILE = """\
server: {listen: "127.0.0.1:1111"}
console: {listen: "127.0.0.1:2222"}
data_dir: of-the-file
providers: {openai: env.OPENAI_API_KEY}
"""


def test_file_applies_if_the_environment_sets_nothing(tmp_path: Path) -> None:
    settings = compiled(FILE + OPEN, {**ENVIRON, "POINTSMAN_LISTEN": ""}, tmp_path).settings
    assert (str(settings.listen), str(settings.console)) == ("127.0.0.1:1111", "127.0.0.1:2222")
    assert settings.data_dir == tmp_path / "of-the-file"


def test_environment_replaces_settings_of_the_file(tmp_path: Path) -> None:
    variables = {
        "POINTSMAN_LISTEN": "127.0.0.1:3333",
        "POINTSMAN_CONSOLE_LISTEN": "[::1]:4444",
        "POINTSMAN_DATA_DIR": "there",
    }
    settings = compiled(FILE + OPEN, {**ENVIRON, **variables}, tmp_path).settings
    assert (str(settings.listen), str(settings.console)) == ("127.0.0.1:3333", "[::1]:4444")
    assert settings.data_dir == Path("there").absolute(), "relative to the working folder, as in a shell"


@pytest.mark.parametrize(
    ("option", "variable"), [("--listen", "POINTSMAN_LISTEN"), ("--console", "POINTSMAN_CONSOLE_LISTEN")]
)
def test_error_names_the_option_and_the_variable(option: str, variable: str) -> None:
    assert errors(FILE + OPEN, {**ENVIRON, variable: "8080"}) == [
        f"{option} or {variable}: must be host:port, such as 127.0.0.1:8080"
    ]


def test_settings_of_the_environment_are_checked_like_the_file() -> None:
    (error,) = errors(FILE + OPEN, {**ENVIRON, "POINTSMAN_LISTEN": ":3333"})
    assert error.startswith("governance.require_key: must be `true`, or server.listen must be a loopback address")


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"POINTSMAN_DATA_DIR": "/a", "XDG_STATE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"XDG_STATE_HOME": "/b", "HOME": "/c"}, "/b/pointsman"),
        ({"HOME": "/c"}, "/c/.local/state/pointsman"),
        ({}, str(Path("data").absolute())),
    ],
)
def test_default_data_folder_follows_the_environment(environ: dict[str, str], folder: str) -> None:
    assert default_data_dir(environ) == Path(folder)
