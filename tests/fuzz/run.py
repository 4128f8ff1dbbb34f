"""Made-up input: ``python tests/fuzz/run.py --inputs 10000000 --seed 5``.

Atheris makes the input: it sees which branches of the code under test an
input takes, and goes on from those that find new ones.  What is fed, and
what must hold, is in ``targets.py``; each target has a process of its own.
The last line is ``inputs N, accepted A, findings F, seed S``.  The exit code
is 1 when there is a finding; the input that made it is printed before, and
``--replay TARGET`` reads one from standard input.
"""

from __future__ import annotations

import argparse
import mmap
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

if __name__ == '__main__':
    sys.path[0] = str(Path(__file__).resolve().parents[1])

_COUNT = struct.Struct('Q')
_LONGEST = 600
_DONE = re.compile(r'^Done (\d+) runs', re.MULTILINE)
# What is under test; instrumenting more would only be slower.
_UNDER_TEST = ('fleetpash', 'hgext3rd')


@dataclass(frozen=True)
class Result:
    """What came of one target."""

    target: str
    inputs: int
    accepted: int
    seconds: float
    finding: str = ''


def main(argv: list[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add('--inputs', type=int, default=100_000, metavar='N')
    add('--seed', type=int, default=0, help='without, a new one is made up')
    add('--target', action='append', default=[], metavar='NAME')
    add('--replay', metavar='NAME', help='one input, from standard input')
    add('--be', metavar='NAME', help=argparse.SUPPRESS)
    add('--counter', help=argparse.SUPPRESS)
    options, rest = parser.parse_known_args(argv)
    if options.be:
        _be(options.be, options.counter, rest)
    if rest:
        parser.error(f'nobody knows {" ".join(rest)}')
    if options.replay:
        from fuzz.targets import TARGETS

        taken = TARGETS[options.replay][1](sys.stdin.buffer.read())
        print('accepted' if taken else 'refused')
        return 0
    seed = options.seed or random.randrange(1, 1_000_000)
    results = run(options.inputs, seed, options.target)
    inputs = sum(one.inputs for one in results)
    accepted = sum(one.accepted for one in results)
    findings = [one for one in results if one.finding]
    print(
        f'inputs {inputs}, accepted {accepted}, findings {len(findings)}, '
        f'seed {seed}'
    )
    return 1 if findings else 0


def run(inputs: int, seed: int, only: list[str]) -> list[Result]:
    """Feed the targets; each gets its share, and says what came of it."""
    from fuzz.targets import TARGETS

    chosen = {name: TARGETS[name][0] for name in only or TARGETS}
    whole = sum(chosen.values())
    results = []
    for name, share in chosen.items():
        one = feed(name, -(-inputs * share // whole), seed)
        print(
            f'{one.target:12} {one.inputs:9} inputs, {one.accepted:8} '
            f'accepted, {one.seconds:6.0f} s',
            flush=True,
        )
        if one.finding:
            print(one.finding)
        results.append(one)
    return results


def feed(target: str, inputs: int, seed: int) -> Result:
    """Feed one target in a process of its own."""
    with tempfile.TemporaryDirectory(prefix='hgfleet-fuzz.') as folder:
        place = Path(folder)
        counter = place / 'counter'
        counter.write_bytes(_COUNT.pack(0))
        corpus = place / 'corpus'
        began = time.monotonic()
        done = subprocess.run(
            [
                *(sys.executable, __file__, '--be', target),
                *('--counter', str(counter), str(_planted(target, corpus))),
                *(f'-runs={inputs}', f'-seed={seed}', f'-max_len={_LONGEST}'),
                f'-dict={_dictionary(place / "words")}',
                *(f'-artifact_prefix={place}/', '-rss_limit_mb=4096'),
            ],
            capture_output=True,
            text=True,
            errors='replace',
            # It ends without taking anything away.
            env={**os.environ, 'TMPDIR': folder},
        )
        match = _DONE.search(done.stderr)
        finding = ''
        if done.returncode or match is None:
            finding = _told(target, place, done.stdout + done.stderr[-1000:])
        return Result(
            target,
            int(match[1]) if match else 0,
            _COUNT.unpack(counter.read_bytes())[0],
            time.monotonic() - began,
            finding,
        )


def _planted(target: str, corpus: Path) -> Path:
    from fuzz.targets import SEEDS

    corpus.mkdir()
    for number, content in enumerate(SEEDS[target]):
        (corpus / f'seed{number}').write_bytes(content)
    return corpus


def _dictionary(path: Path) -> Path:
    from fuzz.targets import WORDS

    lines = [
        '"' + ''.join(f'\\x{byte:02x}' for byte in word) + '"\n'
        for word in WORDS
    ]
    path.write_text(''.join(lines))
    return path


def _told(target: str, place: Path, said: str) -> str:
    lines = [f'! {target}: {said[-3000:]}']
    for path in [*place.glob('crash-*'), *place.glob('timeout-*')]:
        lines.append(f'! the input: {path.read_bytes()!r}')
    return '\n'.join(lines)


def _be(target: str, counter: str, rest: list[str]) -> None:
    """Be the process that a target is fed in; does not return."""
    import atheris

    with atheris.instrument_imports(include=list(_UNDER_TEST)):
        from fuzz.targets import TARGETS
    fed = TARGETS[target][1]
    with open(counter, 'r+b') as file:
        count = mmap.mmap(file.fileno(), _COUNT.size)

    def once(data: bytes) -> None:
        if fed(data):
            (before,) = _COUNT.unpack_from(count)
            _COUNT.pack_into(count, 0, before + 1)

    atheris.Setup([__file__, *rest], once)
    atheris.Fuzz()


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
