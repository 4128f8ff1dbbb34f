"""An OpenStack Swift of our own, which speaks S3 on the loopback interface.

Swift is a production object store that rejects what must be rejected: wrong
secrets, tampered signatures, requests whose conditions do not hold.  It is
installed from the extra ``swift`` of ``pyproject.toml`` into a virtual
environment in the cache, and runs as four processes with one replica in a
folder that is thrown away.  :func:`install` is quick when it was done before;
:class:`Swift` starts and stops one.
"""

from __future__ import annotations

import contextlib
import functools
import getpass
import importlib
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config

from history import cache

from .haproxy import free_ports
from .places import ROOT
from .places import cache as cached

_TOML = 'tomllib' if sys.version_info >= (3, 11) else 'tomli'

ACCESS = 'hg:bundles'
SECRET = 'only-for-tests'
REGION = 'us-east-1'
BUCKET = 'blobs'
DOMAIN = 's3.test'
"""Below this domain, a bucket's name is part of the host's."""

EXTRA = 'swift'
STARTING = 600.0
"""Seconds in which four processes must be up, on the slowest of machines."""
_TRIES = 5

_STORAGE = ('account', 'container', 'object')
_SERVERS = (*_STORAGE, 'proxy')

_RINGS = """
import sys
from swift.common.ring import RingBuilder
for name, port in zip(sys.argv[2::2], sys.argv[3::2]):
    ring = RingBuilder(4, 1, 1)
    ring.add_dev(dict(id=0, region=1, zone=1, weight=1, ip='127.0.0.1',
                      port=int(port), device='disk', meta=''))
    ring.rebalance()
    ring.get_ring().save(f'{sys.argv[1]}/{name}.ring.gz')
"""

# A server ends with the process that started it, also when that is killed.
_MORTAL = """
import ctypes, runpy, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name='__main__')
"""

_COMMON = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
disable_fallocate = true
workers = 0
log_level = ERROR
"""

_STORE = """
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""

_PROXY = f"""
[pipeline:main]
pipeline = catch_errors s3api tempauth slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
auth_pipeline_check = false
location = {REGION}
storage_domain = {DOMAIN}
max_bucket_listing = 20
[filter:tempauth]
use = egg:swift#tempauth
user_{ACCESS.replace(':', '_')} = {SECRET} .admin
[filter:slo]
use = egg:swift#slo
"""


def environ() -> dict[str, str]:
    """Return what the environment of its clients must say."""
    return {
        'AWS_ACCESS_KEY_ID': ACCESS,
        'AWS_SECRET_ACCESS_KEY': SECRET,
        'AWS_CONFIG_FILE': os.devnull,
        'AWS_SHARED_CREDENTIALS_FILE': os.devnull,
        'AWS_EC2_METADATA_DISABLED': 'true',
    }


class Unavailable(Exception):
    """There can be no Swift on this machine; the message says why."""


def install() -> Path:
    """Return the interpreter of an environment that has Swift."""
    toml = importlib.import_module(_TOML)
    project = toml.loads((ROOT / 'pyproject.toml').read_text('utf-8'))
    wanted = project['project']['optional-dependencies'][EXTRA]
    python = '.'.join(map(str, sys.version_info[:2]))
    name = '-'.join([*wanted, f'python{python}']).replace('==', '-')
    where = cache.ready(cached('servers'), name, lambda at: _fill(at, wanted))
    return where / 'bin' / 'python'


def _fill(folder: Path, wanted: list[str]) -> None:
    commands = [
        [sys.executable, '-m', 'venv', str(folder)],
        [
            *(str(folder / 'bin' / 'python'), '-m', 'pip', 'install'),
            *('--disable-pip-version-check', '--no-input', *wanted),
        ],
    ]
    for command in commands:
        run = functools.partial(
            subprocess.run,
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        done = cache.attempts(run)
        if done.returncode:
            raise Unavailable(f'cannot install {wanted}: {done.stdout[-500:]}')


class Swift:
    """A running Swift, with its files in ``folder``."""

    def __init__(self, folder: Path, python: Path) -> None:
        self._folder = folder
        self._python = python
        self._processes: list[subprocess.Popen[bytes]] = []
        self.port = 0
        (folder / 'devices' / 'disk').mkdir(parents=True)
        try:
            os.setxattr(folder, 'user.hgfleet', b'')
        except OSError as error:
            raise Unavailable(
                f'Swift needs extended attributes in {folder}: {error.strerror}'
            ) from error

    @property
    def endpoint(self) -> str:
        """The URL of its S3."""
        return f'http://127.0.0.1:{self.port}'

    def client(self) -> Any:
        """Return a client of botocore, for looking and for damaging."""
        return botocore.session.Session().create_client(
            's3',
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS,
            aws_secret_access_key=SECRET,
            config=Config(s3={'addressing_style': 'path'}),
        )

    def start(self) -> None:
        """Start the four processes, and make a bucket."""
        for _ in range(_TRIES):
            if self._started():
                self.client().create_bucket(Bucket=BUCKET)
                return
            # Somebody took one of the ports before it was bound.
            self.stop()
        raise RuntimeError(f'Swift does not start: {self._said()}')

    def stop(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(120)
            process.kill()
            process.wait()
        self._processes.clear()

    def _started(self) -> bool:
        ports = dict(zip(_SERVERS, free_ports(len(_SERVERS)), strict=True))
        self.port = ports['proxy']
        self._configure(ports)
        # Unix sockets have short names, and folders of tests long ones.
        with (
            tempfile.TemporaryDirectory(prefix='swift-') as room,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready,
        ):
            ready.bind(f'{room}/ready')
            for name in _SERVERS:
                self._launch(name, f'{room}/ready')
            return self._all_ready(ready)

    def _configure(self, ports: dict[str, int]) -> None:
        (self._folder / 'swift.conf').write_text(
            '[swift-hash]\nswift_hash_path_prefix = fleet\n'
            'swift_hash_path_suffix = fleet\n'
        )
        for name, port in ports.items():
            own = _PROXY if name == 'proxy' else _STORE.format(name=name)
            common = _COMMON.format(
                port=port, folder=self._folder, user=getpass.getuser()
            )
            (self._folder / f'{name}.conf').write_text(common + own)
        stores = [(name, str(ports[name])) for name in _STORAGE]
        subprocess.run(
            [
                *(str(self._python), '-c', _RINGS, str(self._folder)),
                *(word for pair in stores for word in pair),
            ],
            check=True,
        )

    def _launch(self, name: str, ready: str) -> None:
        # The script's own first line names where it was before the
        # environment got its place in the cache.
        script = str(self._python.with_name(f'swift-{name}-server'))
        config = f'{self._folder}/{name}.conf'
        with open(self._folder / f'{name}.log', 'ab') as log:
            self._processes.append(
                subprocess.Popen(
                    [str(self._python), '-c', _MORTAL, script, config],
                    env=_environ() | {'NOTIFY_SOCKET': ready},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )

    def _all_ready(self, ready: socket.socket) -> bool:
        """Wait until each process has said so; False when one has ended."""
        ends = [os.pidfd_open(process.pid) for process in self._processes]
        last = time.monotonic() + STARTING
        watched: list[int | socket.socket] = [*ends, ready]
        missing = len(ends)
        try:
            while missing:
                left = max(0.0, last - time.monotonic())
                heard, _, _ = select.select(watched, [], [], left)
                if ready not in heard:
                    return False
                missing -= ready.recv(64) == b'READY=1'
        finally:
            for end in ends:
                os.close(end)
        return True

    def _said(self) -> str:
        logs = sorted(self._folder.glob('*.log'))
        return ' '.join(log.read_text('utf-8')[-500:] for log in logs)


def _environ() -> dict[str, str]:
    """Return an environment that says nothing about Python or proxies."""
    return {'PATH': os.defpath, 'HOME': '/', 'LC_ALL': 'C.UTF-8'}
