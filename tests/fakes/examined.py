"""Runs one check of `pointsman doctor` on a configuration in the folder of a test."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fakes.configuration import ENVIRON, checked
from integration.gateway import run
from pointsman.doctor import checks
from pointsman.doctor.api import Finding, Subject

NOW = 1_800_000_000.0
CONFIG = """
providers: {openai: env.OPENAI_API_KEY}
server: {listen: 127.0.0.1:0}
console: {listen: 127.0.0.1:0}
data_dir: data
governance: {virtual_keys: {me: {value: env.CLIENT_KEY, rate_limits: [{requests: 100, per: day}]}}}
"""


def subject(folder: Path, config: str = CONFIG, **fields: Any) -> Subject:
    """Return an installation in a folder."""
    outcome = checked(config, ENVIRON, folder)
    return Subject(**{"name": "file.yaml", "checked": outcome, "environ": os.environ, "now": NOW, **fields})


def examine(name: str, of: Subject) -> Sequence[Finding]:
    async def main() -> Sequence[Finding]:
        return await checks()[name](of)

    return run(main())


def levels(findings: Sequence[Finding]) -> list[str]:
    return [finding.level for finding in findings]
