"""a single push is not too large

``limits.changesets`` (default 10000)
  how many changesets one push may have.

``limits.bytes`` (default 500 MB)
  how much all new revisions of files may have together.

``limits.heads`` (default 10)
  how many open heads the changesets of one push may have.

The first push to an empty repository is not limited.
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
    human,
)

ITEMS = {'changesets': '10000', 'bytes': '500 MB', 'heads': '10'}

_REMEDY = 'push it in several parts, with hg push -r'


def begin(options: Options, push: Push) -> Judge:
    """Count what comes, and refuse what is too much."""
    changesets = options.number('changesets')
    most = options.size('bytes')
    heads = options.number('heads')
    if push.was_empty:
        return Judge()
    total = 0
    tips: set[str] = set()

    def change(change: Change) -> Failures:
        tips.difference_update(change.parents)
        if not change.closes:
            tips.add(change.node)
        return ()

    def file(change: Change, file: File) -> Failures:
        nonlocal total
        total += file.size
        return ()

    def end() -> Failures:
        if push.count > changesets:
            what = f'it has {push.count} changesets, more than {changesets}'
            yield Failure(what, _REMEDY)
        if total > most:
            what = f'it has {human(total)}, more than {human(most)}'
            yield Failure(what, _REMEDY)
        if len(tips) > heads:
            what = f'it has {len(tips)} heads, more than {heads}'
            yield Failure(what, 'merge or rebase, or push fewer of them')

    return Judge(change=change, file=file, end=end)
