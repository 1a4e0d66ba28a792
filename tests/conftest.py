"""How tests are shared out where several run at a time (`make test`), and what properties are tried on.

Properties are tried on the same examples each time, so that a change is told from bad luck; `make test-all` looks for
new ones.

A marker of groups is what pytest-xdist has for this, but its version 3.8 does not see them with pytest 9.2.
"""

from pathlib import PurePath

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["slicing"]

# No bounds on time: machines are slow and busy.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", settings.get_profile("default"), derandomize=True)
settings.load_profile("repeatable")

# Files whose tests measure time, or keep several processes busy: one test of them at a time, beside lighter ones.
ALONE = frozenset(
    {
        "test_budgets",
        "test_disconnect",
        "test_fail_static",
        "test_handover",
        "test_many_keys",
        "test_reload",
        "test_shutdown",
        "test_streams",
    }
)


class _OneHeavyTest(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out the largest scopes first, and single tests at the end, which fill what time is left on either side."""

    def _split_scope(self, nodeid: str) -> str:
        """What stays together: a file, or all those above, or a test that is long enough by itself."""
        file = PurePath(nodeid.partition("::")[0])
        if file.stem in ALONE:
            return "alone"
        return nodeid if "integration" in file.parts else str(file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    return _OneHeavyTest(config, log)
