"""A node with all that guards it, and its doors, to be knocked on."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from .stdio import push
from .warmnode import HG, PLAIN, WarmNode, serve

SETTINGS = """\
[extensions]
checks =
checks:required = yes
[checks]
symlinks = enforce
subrepos = enforce
filenames = enforce
"""
UNCHECKED = """\
[checks]
symlinks = off
subrepos = off
filenames = off
"""


@dataclass(frozen=True)
class Said:
    """What a session has led to."""

    status: int
    out: bytes
    err: str

    @property
    def refused(self) -> bool:
        """Whether it ended in one plain line, with a hint, and in no crash.

        Before that, Mercurial says how far it has come.
        """
        lines = self.err.splitlines()
        plain = [one for one in lines if one.startswith(('abort', 'hgfleet'))]
        return 'Traceback' not in self.err and len(plain) == 1


@dataclass
class Doors:
    """The doors of one node; what is told to run leaves ``trap`` behind."""

    node: WarmNode
    trap: Path
    _count: int = field(default=0)

    def repository(self, checked: bool = True, below: str = 'open') -> str:
        """Make an empty repository; return its name."""
        self._count += 1
        name = f'{below}/r{self._count}'
        self.node.create(name)
        if not checked:
            hgrc = self.node.folder / 'unchecked.rc'
            hgrc.write_text(UNCHECKED)
            self.node.hg('replicate::config', name, str(hgrc))
        return name

    def ask(
        self,
        command: str,
        said: bytes = b'',
        user: str = 'ann',
        warm: bool = True,
        **env: str,
    ) -> Said:
        """Have sshd run its command, as if a client had asked for this."""
        return self._run(self.node.command(user, warm), command, said, env)

    def without_script(self, command: str, user: str = 'ann') -> Said:
        """Run what pash.py becomes, at once and with nothing cleaned."""
        words = [HG, 'pash::session', '--', user]
        env = {**self.node.environment, 'HGFLEET_COMMAND': command}
        return self._run(words, command, b'', env)

    def session(self, repo: str, said: bytes, user: str = 'ann') -> Said:
        """Have a session with a repository."""
        return self.ask(serve(repo), said, user)

    def push(self, repo: str, bundle: bytes, user: str = 'ann') -> Said:
        """Push a bundle, whatever is there."""
        return self.session(repo, push(bundle), user)

    def _run(
        self, words: list[str], command: str, said: bytes, env: dict[str, str]
    ) -> Said:
        done = subprocess.run(
            words,
            env={**PLAIN, **env, 'SSH_ORIGINAL_COMMAND': command},
            cwd=self.trap.parent,
            input=said,
            capture_output=True,
        )
        return Said(done.returncode, done.stdout, done.stderr.decode())

    def content(self, repo: str) -> dict[str, bytes]:
        """Return every file that a repository is made of."""
        folder = self.node.repos / repo
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob('*')
            if path.is_file()
            and not path.is_symlink()
            and 'cache' not in path.parts
            and not path.name.startswith(('undo', 'journal.'))
        }

    def log(self, repo: str) -> str:
        """Return the changesets of a repository."""
        path = str(self.node.repos / repo)
        return self.node.hg('-R', path, 'log', '-T', '{node}\n')
