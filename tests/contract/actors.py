"""What other processes do to a store: ``actors.py VERB URL ARGUMENT...``.

Each line on the standard output is one thing that has happened.
"""

from __future__ import annotations

import itertools
import os
import resource
import sys
import time
from collections.abc import Iterator

from hgext3rd.fleet.adapters import open_blobs, open_ledger
from hgext3rd.fleet.core.errors import FleetError


def say(*words: object) -> None:
    """Write a line at once, unmixed with those of another process."""
    os.write(1, (' '.join(map(str, words)) + '\n').encode())


def limit(size: str) -> None:
    """Let no file grow past ``size`` bytes, as a quota would."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), hard))


def append(url: str, stream: str, key: str, count: str, size: str) -> None:
    """Append ``count`` (0: for ever) values ``KEY NUMBER``; say offsets."""
    ledger = open_ledger(url)
    say('ready')
    for number in itertools.count():
        if number == int(count) != 0:
            break
        value = f'{key} {number}'.encode().ljust(int(size))
        say(ledger.append(stream, key, value))
    ledger.close()


def fill(url: str, most: str) -> None:
    """Append under a limit of file size until it fails twice."""
    ledger = open_ledger(url)
    limit(most)
    failures = 0
    while failures < 2:
        try:
            say('kept', ledger.append('entries-0', 'k', bytes(16384)))
        except FleetError as error:
            failures += 1
            say(type(error).__name__)


def listen(url: str, *streams: str) -> None:
    """Wait for each record of some streams; say when it was seen."""
    ledger = open_ledger(url)
    ends = {stream: ledger.end(stream) for stream in streams}
    ledger.wait(ends, 0)
    say('ready')
    while True:
        if not ledger.wait(ends, 120):
            say('timeout')
        for stream in streams:
            for record in ledger.read(stream, ends[stream]):
                say(stream, record.offset, time.monotonic())
                ends[stream] = record.offset + 1


def fork(url: str) -> None:
    """Use a ledger in a forked child after its parent has gone."""
    ledger = open_ledger(url)
    ledger.append('entries-0', 'k', b'parent, before')
    ledger.append('members', 'k', b'parent, before')
    ledger.wait({'entries-0': 0}, 0)
    reading, writing = os.pipe()
    if os.fork():
        ledger.append('entries-0', 'k', b'parent, after')
        os.read(reading, 1)
        # The child's connections must be its own to outlive this.
        ledger.close()
        os._exit(0)
    ledger.wait({'entries-0': 1}, 60)
    ledger.end('members')
    os.write(writing, b'!')
    say('child')
    sys.stdin.readline()
    ledger.append('entries-0', 'k', b'child')
    ledger.append('members', 'l', b'child')
    say('written')


def put(url: str, size: str) -> None:
    """Store one blob of zeros; say its name."""
    say('ready')
    sys.stdin.readline()
    say(open_blobs(url).put([bytes(int(size))]).sha256)


def store(url: str) -> None:
    """Store blobs for ever; say the name of each."""
    blobs = open_blobs(url)
    say('ready')
    for number in itertools.count():
        chunk = f'{number:08}'.encode() * 4096
        say(blobs.put(chunk for _ in range(20)).sha256)


def stuff(url: str, most: str) -> None:
    """Store a blob that is larger than a file may be."""
    limit(most)

    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            yield bytes(1 << 16)

    try:
        open_blobs(url).put(chunks())
    except FleetError as error:
        say(type(error).__name__)


if __name__ == '__main__':
    verbs = (append, fill, listen, fork, put, store, stuff)
    verb, *arguments = sys.argv[1:]
    {known.__name__: known for known in verbs}[verb](*arguments)
