"""How hard Hypothesis tries: with HGFLEET_THOROUGH=1, much harder."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No deadlines: on a busy machine the same example takes ten times as long.
settings.register_profile(
    'quick', deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    'thorough',
    settings.get_profile('quick'),
    max_examples=300,
    stateful_step_count=60,
)
settings.load_profile(
    'thorough' if os.environ.get('HGFLEET_THOROUGH') else 'quick'
)
