"""The thread to which a ledger belongs: each thread opens its own."""

from __future__ import annotations

from threading import get_ident


class Owner:
    """The thread that has made ``what``, until that is closed."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._thread = get_ident()
        self.closed = False

    @property
    def is_here(self) -> bool:
        """Whether this is the thread."""
        return get_ident() == self._thread

    def check(self) -> None:
        """Stop a caller whose mistake would be hard to find later."""
        if self.closed:
            raise RuntimeError(f'{self._what} has been closed')
        if not self.is_here:
            raise RuntimeError(
                f'{self._what} was opened by another thread; each thread must '
                'open its own'
            )
