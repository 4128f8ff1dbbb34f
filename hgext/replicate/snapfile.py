"""The blob of a snapshot: a bundle2 that holds a whole repository.

Parts, in this order:

``fleet:snapshot``
    what it is, see ``core/snapshot.py``
``fleet:file``
    once for each of :data:`FILES` that there is, with its name as the
    parameter ``name``: the content of that file
``stream2``
    what a stream clone transfers: the store's files with phases and
    obsolescence markers, hidden and secret changesets too

The first two are advisory, so a stock ``hg debugbundle`` can read it.  No
payload of an entry begins with ``fleet:snapshot``; see :func:`is_snapshot`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, BinaryIO, Protocol

from mercurial import bundle2, streamclone, util

from hgext3rd.pushlog import store as pushlog

from ..fleet import compat, files
from ..fleet.core import snapshot as snapshots
from ..fleet.core.errors import EntryUnreadable
from ..fleet.core.snapshot import Snapshot
from ..fleet.edge import local, text
from .node import Hosted

FILES = (
    'hgrc',
    'store/bookmarks',
    f'store/{text(pushlog.FILE)}',
    f'store/{text(pushlog.USERS)}',
)
"""What is not part of a stream clone, below ``.hg``."""

_WHAT = b'fleet:snapshot'
_FILE = b'fleet:file'
_STREAM = b'stream2'

# Else a stream clone leaves the phases out.
_PHASES = {(b'phases', b'publish'): False}


class Readable(Protocol):
    """The blob's file, or what stands for it."""

    def read(self, size: int) -> bytes:
        """Return at most that many bytes; none at the end."""
        ...


def chunks(hosted: Hosted, repo: Any, snapshot: Snapshot) -> Iterator[bytes]:
    """Return the bytes of the blob of ``repo``, as it is at this moment.

    The repository's lock must be held now, and need not be when the bytes
    are read: what is only appended to is read up to its length of now, and
    whatever else is held open.
    """
    bundler = bundle2.bundle20(repo.ui)
    what = snapshots.describe(hosted.name, snapshot)
    bundler.newpart(_WHAT, data=what, mandatory=False)
    for name in FILES:
        data = files.read(os.path.join(hosted.path, '.hg', name))
        if data is not None:
            part = bundler.newpart(_FILE, data=data, mandatory=False)
            part.addparam(b'name', local(name), mandatory=False)
    with repo.ui.configoverride(_PHASES, b'replicate'):
        count, size, stream = compat.stream_clone(repo)
    needs = b','.join(sorted(streamclone.streamed_requirements(repo)))
    part = bundler.newpart(_STREAM, data=stream)
    part.addparam(b'requirements', util.urlreq.quote(needs))
    part.addparam(b'filecount', b'%d' % count)
    part.addparam(b'bytecount', b'%d' % size)
    found: Iterator[bytes] = bundler.getchunks()
    return found


def unpack(
    file: Readable, hosted: Hosted, repo: Any, snapshot: Snapshot
) -> None:
    """Fill ``repo``, which is new and empty, from the blob.

    Raises EntryUnreadable when it is not that snapshot's, and whatever
    decoding damaged bytes may raise.
    """
    seen = set()
    for part in bundle2.getunbundler(repo.ui, file).iterparts():
        if part.type == _WHAT:
            snapshots.check_described(part.read(), hosted.name, snapshot)
        elif part.type == _FILE:
            _unpack_file(repo, text(part.params[b'name']), part.read())
        elif part.type == _STREAM and _WHAT in seen:
            _unpack_stream(repo, part)
        else:
            raise _foreign(hosted, part.type)
        seen.add(part.type)
        part.consume()
    if _STREAM not in seen:
        raise _foreign(hosted, b'nothing')


def is_snapshot(file: BinaryIO, ui: Any) -> bool:
    """Tell whether a blob is a snapshot's, rather than an entry's payload."""
    for part in bundle2.getunbundler(ui, file).iterparts():
        return bool(part.type == _WHAT)
    return False


def made_at(file: BinaryIO, ui: Any) -> float | None:
    """Return when a snapshot was made (since 1970); None if it is none.

    Raises what decoding damaged bytes may raise.
    """
    for part in bundle2.getunbundler(ui, file).iterparts():
        if part.type != _WHAT:
            return None
        return snapshots.described_time(part.read()) / 1000
    return None


def _unpack_file(repo: Any, name: str, data: bytes) -> None:
    if name not in FILES:
        raise EntryUnreadable(f'the snapshot has a file {name[:80]!r}')
    files.replace(os.path.join(text(repo.path), name), data)


def _unpack_stream(repo: Any, part: Any) -> None:
    needs = util.urlreq.unquote(part.params[b'requirements'])
    streamclone.applybundlev2(
        repo,
        part,
        int(part.params[b'filecount']),
        int(part.params[b'bytecount']),
        needs.split(b','),
    )


def _foreign(hosted: Hosted, what: bytes) -> EntryUnreadable:
    return EntryUnreadable(
        f'the blob is no snapshot of {hosted.name}: it has {text(what)!r} '
        'where its content should be'
    )
