The whole way in: a real sshd on the loopback device, with the configuration
that hgfleet writes for it.

  $ sshd=$(PATH=$PATH:/usr/sbin:/sbin command -v sshd) \
  >     || { echo 'skipped: no sshd here'; exit 80; }
  $ command -v ssh > /dev/null || { echo 'skipped: no ssh here'; exit 80; }
  $ bin=$("$PYTHON" -c 'import sys; print(sys.prefix + "/bin")')
  $ [ "$(id -u)" != 0 ] || mkdir -p /run/sshd

  $ mkdir repos keys
  $ for each in host ann zoe eve; do
  >     ssh-keygen -q -t ed25519 -N '' -C $each -f keys/$each
  > done
  $ hg init repos/demo
  $ cat > primary.rc <<EOF
  > [extensions]
  > fleetpash =
  > fleetpash:required = yes
  > [fleet]
  > root = $TESTTMP/repos
  > directory = file://$TESTTMP/users.toml
  > [access]
  > ** = staff:write
  > EOF
  $ "$PYTHON" - <<EOF
  > import getpass
  > from pathlib import Path
  > from fleetpash import sshd
  > from hgext3rd.fleet.adapters.directory_file import add_user, disable
  > def key(name):
  >     return Path(f'keys/{name}.pub').read_text()
  > add_user('users.toml', 'ann', [key('ann')], ['staff'])
  > add_user('users.toml', 'zoe', [key('zoe')], ['staff'])
  > disable('users.toml', 'zoe')
  > account = getpass.getuser()
  > Path('sshd_config').write_text(sshd.sshd_config(
  >     port=$HGPORT, account=account, host_key='$TESTTMP/keys/host',
  >     hg='$bin/hg', hgrc='$TESTTMP/primary.rc', python='$bin/python',
  >     directory='file://$TESTTMP/users.toml',
  >     spared='127.0.0.1' if sshd.has_penalties('$sshd') else ''))
  > known = sshd.known_hosts(public_key=key('host'))
  > Path('known_hosts').write_text(known)
  > for name in ('ann', 'zoe', 'eve'):
  >     Path(f'as-{name}').write_text(sshd.ssh_config(
  >         port=$HGPORT, account=account, identity=f'$TESTTMP/keys/{name}',
  >         known_hosts='$TESTTMP/known_hosts'))
  > EOF
  $ "$sshd" -t -f sshd_config
  $ "$sshd" -D -e -f "$TESTTMP/sshd_config" < /dev/null > /dev/null 2> log &
  $ echo $! >> "$DAEMON_PIDS"
  $ "$PYTHON" - <<EOF
  > import socket, time
  > deadline = time.monotonic() + 120
  > while time.monotonic() < deadline:
  >     try:
  >         socket.create_connection(('127.0.0.1', $HGPORT)).close()
  >         break
  >     except OSError:
  >         time.sleep(0.05)
  > else:
  >     print(open('log').read())
  > EOF

A stock client clones, pushes and pulls. The first answers come from the file
of users itself, and later ones, once the file has been left alone for some
seconds, from its index.

  $ cat >> "$HGRCPATH" <<EOF
  > [ui]
  > ssh = ssh -F "$TESTTMP/as-ann"
  > EOF
  $ hg clone ssh://fleet/demo work
  no changes found
  updating to branch default
  0 files updated, 0 files merged, 0 files removed, 0 files unresolved
  $ cd work
  $ echo a > a
  $ hg commit -q -A -m a -u somebody
  $ hg push
  pushing to ssh://fleet/demo
  searching for changes
  remote: adding changesets
  remote: adding manifests
  remote: adding file changes
  remote: added 1 changesets with 1 changes to 1 files
  $ cd ..
  $ "$PYTHON" - <<EOF
  > import os, subprocess, time
  > deadline = time.monotonic() + 240
  > while not os.path.exists('users.toml.index'):
  >     subprocess.run(['ssh', '-F', 'as-ann', 'fleet'], check=True,
  >                    stdout=subprocess.DEVNULL)
  >     assert time.monotonic() < deadline
  > EOF
  $ hg id ssh://fleet/demo
  8327d19df0ab

Without a command there is a greeting, and with another than Mercurial's a
refusal. What a client may ask of sshd besides is refused by sshd.

  $ ssh -F as-ann fleet
  Hello ann. This is a Mercurial server; there is no shell here.
  
    your groups:  staff
    to clone:     hg clone ssh://HOST/REPOSITORY
    to push:      hg push (in your clone)
    for more:     ask for "help"
  
  What you may do, by the first of these that a repository's name matches:
  
    **                             write
  $ ssh -F as-ann fleet 'touch ran; id'
  hgfleet: this command is not allowed here
  (use "hg clone", "hg pull" and "hg push"; "help" tells what else there is)
  [1]
  $ ssh -F as-ann -o SetEnv=HGRCPATH=/dev/null -o SetEnv=PATH=/nowhere fleet \
  >     | head -n 1
  Hello ann. This is a Mercurial server; there is no shell here.
  $ ssh -F as-ann -o RequestTTY=force fleet 2>&1 | head -n 1
  PTY allocation request failed on channel 0\r (esc)
  $ ssh -F as-ann -s fleet sftp
  subsystem request failed on channel 0\r (esc)
  [255]
  $ ssh -F as-ann -W 127.0.0.1:$HGPORT fleet 2>&1 | grep -o '.*failed'
  stdio forwarding failed

Keys that nobody holds, or somebody who is locked out, do not get in; nor does
anybody without a key.

  $ ssh -F as-eve fleet
  *: Permission denied (publickey).* (glob)
  [255]
  $ ssh -F as-zoe fleet
  *: Permission denied (publickey).* (glob)
  [255]
  $ ssh -F as-ann -o IdentityFile=none -o PubkeyAuthentication=no fleet
  *: Permission denied (publickey).* (glob)
  [255]
  $ hg id --config ui.ssh="ssh -F $TESTTMP/as-eve" ssh://fleet/demo
  remote: *: Permission denied (publickey). (glob)
  abort: no suitable response from remote hg
  [255]

A change to the directory counts at once, even if the index is still there.

  $ "$PYTHON" - <<EOF
  > from hgext3rd.fleet.adapters.directory_file import disable, enable
  > enable('users.toml', 'zoe')
  > disable('users.toml', 'ann')
  > EOF
  $ ssh -F as-zoe fleet | head -n 1
  Hello zoe. This is a Mercurial server; there is no shell here.
  $ ssh -F as-ann fleet
  *: Permission denied (publickey).* (glob)
  [255]

Without a directory nobody gets in.

  $ mv users.toml away.toml
  $ ssh -F as-zoe fleet
  *: Permission denied (publickey).* (glob)
  [255]
  $ echo nonsense > users.toml
  $ ssh -F as-zoe fleet
  *: Permission denied (publickey).* (glob)
  [255]
  $ mv away.toml users.toml
  $ ssh -F as-zoe fleet | head -n 1
  Hello zoe. This is a Mercurial server; there is no shell here.

sshd saw who came, and nothing was left behind by those who were refused.

  $ grep -c 'Accepted publickey for .* ssh2: ED25519 SHA256:' log > /dev/null
  $ find . -name ran
