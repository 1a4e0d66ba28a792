"""Every section of a document is in its snapshot, and in the snapshot's digest."""

from fakes.configuration import OPEN, compiled

BASE = OPEN + "providers: {openai: env.OPENAI_API_KEY}\n"


def test_each_section_changes_the_digest() -> None:
    sections = [
        "",
        "require: {region: [eu]}",
        "routing: {rules: [{name: a, drop: [seed]}]}",
        "routing: {max_attempts: 3}",
        "models: {chat: [openai/gpt-4o]}",
        "logging: {facts: [headers.x-tier]}",
        "server: {limit_headers: true}",
    ]
    snapshots = [compiled(BASE + section + "\n").snapshot for section in sections]
    assert len({one.digest for one in snapshots}) == len(sections)
    assert snapshots[1].require
    assert [rule.name for rule in snapshots[2].rules] == ["a"]
    assert snapshots[5].read_headers == ("x-tier",)
