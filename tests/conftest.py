"""What tests of several folders share, and how hard Hypothesis tries.

Mercurial is complete before a test opens a repository in this process: one
that is opened first registers template keywords of its own, and Mercurial
then refuses to register its built-in ones of the same name.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from hgext3rd.fleet import compat
from testlib import kafka

compat.initialize()

# That of who runs the tests may be any.
os.umask(0o022)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So it is in what a shell has put into the background, and so it would be
    # in all that the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


# No deadlines: on a busy machine the same example takes ten times as long.
settings.register_profile(
    'quick', deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
# With HGFLEET_THOROUGH=1, much harder.
settings.register_profile(
    'thorough',
    settings.get_profile('quick'),
    max_examples=300,
    stateful_step_count=60,
)
settings.load_profile(
    'thorough' if os.environ.get('HGFLEET_THOROUGH') else 'quick'
)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Say which tests must be run by one process, one after the other.

    Those of a module may share a fleet.  Those of ``faults`` run whole fleets
    against the clock, and two of them at once would be too much of a load.
    """
    folder, _slash, module = item.location[0].rpartition('/')
    group = folder if folder.endswith('faults') else module
    item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope='session')
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One Kafka broker for all processes of this run; its address."""
    folder = tmp_path_factory.getbasetemp()
    if os.environ.get('PYTEST_XDIST_WORKER'):
        folder = folder.parent
    try:
        with kafka.shared(folder) as address:
            yield address
    except kafka.Missing as reason:
        pytest.skip(str(reason))
