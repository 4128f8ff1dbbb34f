"""What a client says to ``hg serve --stdio``, as bytes.

A session is made of ``HELLO`` and calls, one after the other; nothing here
waits for an answer.
"""

from __future__ import annotations

NULL = b'0' * 40
FORCE = b'666f726365'


def call(name: bytes, **arguments: bytes) -> bytes:
    """Return a command of the wire protocol."""
    return name + b'\n' + _said(arguments)


def starred(name: bytes, **arguments: bytes) -> bytes:
    """Return a command whose arguments are any number."""
    return b'%s\n* %d\n%s' % (name, len(arguments), _said(arguments))


def _said(arguments: dict[str, bytes]) -> bytes:
    return b''.join(
        b'%s %d\n%s' % (key.encode(), len(value), value)
        for key, value in arguments.items()
    )


HELLO = b'hello\n' + call(b'between', pairs=NULL + b'-' + NULL)


def push(bundle: bytes, heads: bytes = FORCE) -> bytes:
    """Return a push, without waiting for the go-ahead."""
    start = HELLO + call(b'unbundle', heads=heads)
    return start + b'%d\n%s0\n' % (len(bundle), bundle)
