"""What a client asks for is never taken for options, nor shown to a shell.

Each request would have run something, or have read a file, in the server that
the advisory or incident is about.  ``trap`` is what would be left behind; the
fixture ``nothing_ran`` looks for it after each test.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from fleetpash import grammar
from hgext3rd.fleet.core.errors import SettingError
from testlib.doors import Doors
from testlib.stdio import HELLO
from testlib.warmnode import HG, PLAIN, serve


def forms(*commands: str) -> pytest.MarkDecorator:
    """Run a test with each command, and the first at both doors."""
    cases = [(command, not number) for number, command in enumerate(commands)]
    return pytest.mark.parametrize(('form', 'both'), cases)


def refused(doors: Doors, form: str, both: bool) -> None:
    """It is not served; nobody is shown anything."""
    command = form.format(doors.trap)
    told = [doors.ask(command, HELLO)]
    if both:
        told.append(doors.without_script(command))
    for said in told:
        assert said.status == 1, said
        assert said.refused, said
        assert said.out == b'', said


def test_the_doors_serve_what_is_asked_for_properly(doors: Doors) -> None:
    said = doors.session(doors.repository(), HELLO)
    assert said.status == 0
    assert b'capabilities: ' in said.out


def test_mercurial_itself_obeys_what_is_refused_here(
    doors: Doors, tmp_path: Path
) -> None:
    # In a server that executes what the client has sent, this is run.
    (tmp_path / 'x.py').write_text(f'open({str(tmp_path / "ran")!r}, "w")')
    words = f'{HG} --config extensions.x={tmp_path}/x.py version -q'.split()
    subprocess.run(words, env={**PLAIN, 'HGRCPATH': ''}, capture_output=True)
    assert (tmp_path / 'ran').exists()


@forms(
    'hg -R --debugger serve --stdio',
    "hg -R '--debugger' serve --stdio",
    'hg -R /--debugger serve --stdio',
    'hg -R a/--debugger serve --stdio',
    'hg -R --debug serve --stdio',
    'hg -R -h serve --stdio',
    'hg --debugger -R open/a serve --stdio',
)
def test_cve_2017_9462_a_repository_named_debugger(
    doors: Doors, form: str, both: bool
) -> None:
    refused(doors, form, both)


@forms(
    'hg -R --config=extensions.x={} serve --stdio',
    "hg -R '--config=hooks.pretxnopen=touch {}' serve --stdio",
    'hg -R open/a --config alias.serve=!touch${{IFS}}{} serve --stdio',
    'hg --config extensions.x={} -R open/a serve --stdio',
    'hg -R --cwd=/ serve --stdio',
    'hg -R bundle:{} serve --stdio',
    'hg -R union:a+{} serve --stdio',
    'hg -R file:{} serve --stdio',
)
def test_mercurial_77eaf9539499_a_repository_named_config(
    doors: Doors, form: str, both: bool
) -> None:
    refused(doors, form, both)


@forms(
    'clone open/a; touch {}',
    'clone $(touch {}) open/a',
    'clone open/a`touch {}`',
    'clone open/a\ntouch {}',
    'clone open/a|touch {}',
    'clone open/a&&touch {}',
    "clone 'open/a' ';touch {}'",
    'edit open/a;touch {}',
    'hg -R open/a;touch {} serve --stdio',
    "hg -R 'open/a';touch {} serve --stdio",
    "hg -R 'open/a'';touch {}' serve --stdio",
    'hg -R open/$(touch {}) serve --stdio',
    'hg -R open/a\n serve --stdio; touch {} serve --stdio',
    'hg init open/a;touch {}',
)
def test_pash_611c49c1_a_repository_name_in_a_shell(
    doors: Doors, form: str, both: bool
) -> None:
    refused(doors, form, both)


def test_pash_611c49c1_one_place_knows_what_a_name_is(doors: Doors) -> None:
    # A name is checked where the type is made, so nobody can leave it out.
    for name in ('a;b', '../a', '-a', 'a b', 'a\n', 'a/.hg', ''):
        assert isinstance(grammar.parse(serve(name)), grammar.Refused), name


@forms(
    'env --split-string=touch {}',
    'env -S=touch {}',
    'env -- touch {}',
    '--split-string=touch {}',
    '-S=touch {}',
)
def test_cve_2024_39930_env_with_split_string(
    doors: Doors, form: str, both: bool
) -> None:
    refused(doors, form, both)


@pytest.mark.parametrize(
    'variable',
    [
        *('HGRCPATH', 'HGEDITOR', 'HGMERGE', 'HGPLAINEXCEPT', 'HG', 'HGUSER'),
        *('PYTHONPATH', 'PYTHONSTARTUP', 'PYTHONINSPECT', 'PYTHONHOME'),
        *('BASH_ENV', 'ENV', 'PATH', 'GIT_SSH_COMMAND'),
    ],
)
def test_cve_2024_39930_variables_of_a_client(
    doors: Doors, variable: str, tmp_path: Path
) -> None:
    # As if an sshd had let it through: nothing of it gets to the session.
    (tmp_path / 'sitecustomize.py').write_text(f'open({str(doors.trap)!r},"w")')
    away = {variable: str(tmp_path)}
    said = doors.ask(serve('open/none'), warm=False, **away)
    assert said.status == 1, said
    assert said.refused, said
    assert 'repository open/none does not exist' in said.err


@forms(
    "git-upload-pack 'open/a'",
    'git-receive-pack --upload-pack=touch${{IFS}}{} open/a',
    'git-lfs-authenticate open/a; touch {}',
    'gitea serv key-1 --config={}',
    'scp -t {}',
    'sftp-server',
    '/bin/sh -c touch${{IFS}}{}',
    '-c touch {}',
    'rsync --server -e.LsfxC . {}',
)
def test_go_2022_0450_and_go_2022_1065_other_commands(
    doors: Doors, form: str, both: bool
) -> None:
    refused(doors, form, both)


def test_go_2022_1065_a_user_who_looks_like_an_option(doors: Doors) -> None:
    for name in ('--config=x.y=z', '-R', 'ann;id'):
        with pytest.raises(SettingError):  # from the look-up of keys
            doors.node.command(name)
        said = doors.without_script(serve('open/a'), name)
        assert said.status == 1, said
        assert said.refused, said


@pytest.mark.parametrize('warm', [True, False])
def test_a_defect_is_told_in_plain_words(doors: Doors, warm: bool) -> None:
    repo = doors.repository()
    store = doors.node.repos / repo / '.hg' / 'store'
    (store / 'phaseroots').write_text('garbage\n')
    said = doors.ask(f'clone {repo}-copy {repo}', warm=warm)
    assert said.refused, said
    assert said.status == 70
    assert 'exception' not in said.err
    assert 'failed to answer' in said.err


def test_cve_2015_0260_no_reply_holds_a_key(doors: Doors) -> None:
    # What anybody may ask never says who else is here, nor with which key.
    users = Path(doors.node.layout.users).read_text()
    key = next(one for one in users.split() if one.startswith('AAAA'))
    for command in ('', 'help', serve('open/none')):
        said = doors.ask(command, user='bob')
        assert key not in said.err + said.out.decode()
        assert os.path.basename(doors.node.layout.users) not in said.err
