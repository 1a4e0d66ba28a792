"""Distribution of tests when several run at a time (`make test`), and the profile of property tests.

Property tests use the same examples each time, so that a failure comes from a change and not from chance. `make
test-all` searches for new examples.

The group marker of pytest-xdist would do this, but its version 3.8 does not see the marks with pytest 9.2.
"""

import os
from pathlib import PurePath

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["slicing"]

# Tests start gateways, which have several processes. Compiling the sources for each would cost seconds per start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# No time limits, because machines are slow and busy.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", settings.get_profile("default"), derandomize=True)
settings.load_profile("repeatable")

# Files whose tests measure time or keep several processes busy: one of these tests at a time, beside lighter ones.
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
    """Schedules the largest scopes first, and single tests last, to fill the time left on either side."""

    def _split_scope(self, nodeid: str) -> str:
        """Return the scope that stays together: a file, all the files above, or a single long test."""
        file = PurePath(nodeid.partition("::")[0])
        if file.stem in ALONE:
            return "alone"
        return nodeid if "integration" in file.parts else str(file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    return _OneHeavyTest(config, log)
