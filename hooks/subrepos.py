"""there are no subrepositories

A clone fetches subrepositories from wherever they say, and some kinds have
run programs doing so.
"""

from __future__ import annotations

from hgext3rd.fleet.core.checks import (
    Change,
    Failure,
    Failures,
    File,
    Judge,
    Options,
    Push,
)

ITEMS: dict[str, str] = {}

_NAMES = frozenset({'.hgsub', '.hgsubstate'})


def begin(options: Options, push: Push) -> Judge:
    """Refuse the files that make a subrepository; removing them is fine."""

    def file(change: Change, file: File) -> Failures:
        if file.path in _NAMES and not file.gone:
            yield Failure(
                'it makes a subrepository',
                'copy the files in, or fetch them when building',
                change.node,
                file.path,
            )

    return Judge(file=file)
