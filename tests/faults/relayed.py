"""The relay of a node, which can be stopped and killed as its daemon can."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE = 120.0


@dataclass
class Relay:
    """The process ``hg replicate::relay`` of one node, while it runs."""

    hg: str
    environment: Mapping[str, str]
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    guard: threading.RLock = field(default_factory=threading.RLock)

    @property
    def log(self) -> Path:
        """What its processes have said."""
        return self.folder / 'relay-log'

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / 'state' / 'ledger.sock'

    def start(self, armed: Sequence[str] = ()) -> None:
        """Start it; it may take a moment until it listens."""
        with self.guard, self.log.open('ab') as log:
            assert self.process is None, f'{self.folder}: a relay is running'
            # One that was killed leaves its socket, which nobody answers.
            with suppress(FileNotFoundError):
                self.socket.unlink()
            self.process = subprocess.Popen(
                [self.hg, 'replicate::relay', *armed],
                env=dict(self.environment),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            # A dead process that nobody has waited for still counts as the
            # holder of its locks.
            threading.Thread(target=self.process.wait, daemon=True).start()

    def tell(self, number: signal.Signals) -> bool:
        """Send it a signal; tell whether it was running."""
        with self.guard:
            if self.process is None or self.process.poll() is not None:
                return False
            self.process.send_signal(number)
            return True

    def kill(self) -> bool:
        """Kill it and wait for that; tell whether it was running."""
        with self.guard:
            met = self.tell(signal.SIGKILL)
            if self.process is not None:
                self.process.wait(PATIENCE)
                self.process = None
            return met

    def complaints(self) -> str:
        """Return what it has said that means a defect."""
        said = self.log.read_text() if self.log.exists() else ''
        return said if 'Traceback' in said or 'a defect' in said else ''
