"""``python tests/history releases`` prints a path; ``--help`` says more."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

# Started as a folder, this is no part of a package yet.
if not __package__:
    sys.path[0] = str(Path(__file__).parents[1])

command = import_module(f'{__package__ or "history"}.command')
sys.exit(command.main())
