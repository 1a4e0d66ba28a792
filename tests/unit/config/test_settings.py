"""Changed settings of the processes are named."""

from fakes.configuration import OPEN, compiled
from pointsman.config.settings import Settings, changed_fields


def settings(text: str) -> Settings:
    return compiled(f"providers: {{openai: env.OPENAI_API_KEY}}\n{OPEN}{text}").settings


def test_fields_that_need_a_restart_are_named_as_in_the_file() -> None:
    old = settings("")
    assert changed_fields(old, settings("")) == []
    changed = settings("server: {listen: '127.0.0.1:1', drain_s: 1}\nlogging: {level: error}\ndata_dir: x\n")
    assert changed_fields(old, changed) == ["server.listen", "server.drain_s", "data_dir", "logging.level"]
