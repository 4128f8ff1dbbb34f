"""What every extension declares about itself, said once.

Mercurial reads ``testedwith``, ``minimumhgversion`` and ``buglink`` from each
extension; all of them take the values below. ``setup.py`` takes the version
from here too, so this module imports nothing.
"""

from __future__ import annotations

VERSION = '0.1.0'
"""The version of this distribution, as pip shows it."""

TESTEDWITH = b'7.0 7.1 7.2'
"""Series of Mercurial that the tests have been run with."""

MINIMUM_HG = b'7.0'
"""The oldest Mercurial on which the extensions load."""

BUGLINK = b'https://bugs.hgfleet.example/'
"""Where Mercurial sends a user after a crash in one of the extensions."""
