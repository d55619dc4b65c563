"""Which tests stay together when `scripts/test` spreads them over processes."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

FAULTS = "tests/integration/faults/"
INTEGRATION = "tests/integration/"

#: One container engine serves the machine, and these tests name what they make in it.
CONTAINERS = "tests/integration/test_compose.py"


class Distribution(LoadScopeScheduling):
    """Cuts the tests into shares, of which each is run in one process.

    A module is a share, as its fixtures are dear. Tests with real processes mostly wait: each
    goes wherever there is room. The faults are one share: no two of them, with their bounds, meet.
    """

    def _split_scope(self, nodeid: str) -> str:
        """Return what the tests of one share have in common."""
        if nodeid.startswith(FAULTS):
            return FAULTS
        if nodeid.startswith(INTEGRATION) and not nodeid.startswith(CONTAINERS):
            return nodeid
        return nodeid.partition("::")[0]
