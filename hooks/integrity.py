"""changesets are what they say they are

Some clients have made changesets that list other files than they change, or
have mangled parents.  Such changesets are shown wrongly, and may not be
found by those who ask for the history of a file.  Nor can anybody read a
manifest that has a name twice, or names that are not in order.  A branch whose
name has a control character, or white space at an end, is read back from
Mercurial's caches as another one, with heads that it does not have.

``integrity.hashes`` (yes or no, default no)
  whether the manifest of every changeset is hashed as well, which takes as
  long as all other checks together where there are many files.
"""

from __future__ import annotations

import re

from hgext3rd.fleet.core.checks import (
    Change,
    Failure,
    Failures,
    Judge,
    Options,
    Push,
)

ITEMS = {'hashes': 'no'}

_REMEDY = 'make the changeset anew with a recent Mercurial'
_SHOWN = 3
# Mercurial itself gives no branch such a name.
_UNFIT = re.compile(r'\s|.*(?:[\x00-\x1f\x7f]|\s\Z)|\Z', re.DOTALL)


def begin(options: Options, push: Push) -> Judge:
    """Compare what is listed with what is changed."""

    hashes = options.flag('hashes')

    def change(change: Change) -> Failures:
        if hashes and not change.is_sound:
            yield Failure('its manifest is damaged', _REMEDY, change.node)
        if _UNFIT.match(change.branch):
            what = f'its branch is called {change.branch!r}'
            yield Failure(what, 'give the branch another name', change.node)
        for fault in change.faults:
            yield Failure(fault, _REMEDY, change.node)
        listed = set(change.listed)
        if len(change.parents) < 2:
            changed = {file.path for file in change.files}
            needless = listed - changed
        else:
            changed = {
                file.path
                for file in change.files
                if not (file.gone or file.reverted)
            }
            needless = set()
        for what, names in (
            ('it changes {}, and does not list it', changed - listed),
            ('it lists {}, and does not change it', needless),
        ):
            for name in sorted(names)[:_SHOWN]:
                yield Failure(what.format(name), _REMEDY, change.node)

    return Judge(change=change)
