Which keys and certificates open the door: a real sshd with all settings of
[pash], which is asked with everything that must stay outside.

  $ sshd=$(PATH=$PATH:/usr/sbin:/sbin command -v sshd) \
  >     || { echo 'skipped: no sshd here'; exit 80; }
  $ command -v ssh > /dev/null || { echo 'skipped: no ssh here'; exit 80; }
  $ bin=$("$PYTHON" -c 'import sys; print(sys.prefix + "/bin")')
  $ [ "$(id -u)" != 0 ] || mkdir -p /run/sshd

  $ mkdir repos keys
  $ make() { ssh-keygen -q -N '' -C "$1" -f "keys/$@"; }
  $ for each in host ann zoe cert ca other; do
  >     make $each -t ed25519
  > done
  $ make old -t rsa -b 2048
  $ make new -t rsa -b 3072
  $ make big -t ecdsa -b 384
  $ hg init repos/demo
  $ cp keys/ca.pub user-ca.pub
  $ touch revoked
  $ cat > primary.rc <<EOF
  > [extensions]
  > fleetpash =
  > fleetpash:required = yes
  > [fleet]
  > root = $TESTTMP/repos
  > directory = file://$TESTTMP/users.toml
  > [pash]
  > key-types = ed25519, ecdsa-256, rsa
  > revoked = $TESTTMP/revoked
  > trusted-user-ca = $TESTTMP/user-ca.pub
  > [access]
  > ** = staff:write
  > EOF
  $ "$PYTHON" - <<EOF
  > import getpass
  > from pathlib import Path
  > from mercurial import ui as uimod
  > from fleetpash import door, sshd
  > from hgext3rd.fleet import settings
  > from hgext3rd.fleet.adapters.directory_file import add_user, disable
  > def key(name):
  >     return Path(f'keys/{name}.pub').read_text()
  > for name in ('ann', 'zoe', 'old', 'new', 'big'):
  >     add_user('users.toml', name, [key(name)], ['staff'])
  > for name in ('bob', 'gone'):
  >     add_user('users.toml', name, [], ['staff'])
  > disable('users.toml', 'gone')
  > account = getpass.getuser()
  > ui = uimod.ui()
  > settings.declare(ui)
  > ui.readconfig(b'primary.rc', trust=True)
  > Path('sshd_config').write_text(sshd.sshd_config(
  >     port=$HGPORT, account=account, host_key='$TESTTMP/keys/host',
  >     hg='$bin/hg', hgrc='$TESTTMP/primary.rc', python='$bin/python',
  >     directory='file://$TESTTMP/users.toml', door=door.read(ui),
  >     spared='127.0.0.1' if sshd.has_penalties('$sshd') else ''))
  > known = sshd.known_hosts(public_key=key('host'))
  > Path('known_hosts').write_text(known)
  > for name in ('ann', 'zoe', 'old', 'new', 'big', 'cert'):
  >     Path(f'as-{name}').write_text(sshd.ssh_config(
  >         port=$HGPORT, account=account, identity=f'$TESTTMP/keys/{name}',
  >         known_hosts='$TESTTMP/known_hosts'))
  > EOF
  $ "$sshd" -t -f sshd_config
  $ cat > await.py <<EOF
  > import socket, sys, time
  > deadline = time.monotonic() + 120
  > while time.monotonic() < deadline:
  >     try:
  >         socket.create_connection(('127.0.0.1', int(sys.argv[1]))).close()
  >         break
  >     except OSError:
  >         time.sleep(0.05)
  > else:
  >     print(open('log').read())
  > EOF
  $ listen() { # CONFIGURATION: start an sshd
  >     "$sshd" -D -e -f "$TESTTMP/$1" < /dev/null > /dev/null 2>> log &
  >     echo $! >> "$DAEMON_PIDS"
  >     "$PYTHON" await.py $(sed -n 's/^Port //p' $1)
  > }
  $ listen sshd_config
  $ enter() { # WHO [OPTION...]: who is let in?
  >     who=$1
  >     shift
  >     if ssh -F "as-$who" "$@" fleet > out 2> err; then
  >         sed -n '1s/\. .*//p' out
  >     else
  >         grep -o 'Permission denied' err || cat err
  >     fi
  > }
  $ told() { # WHAT FILE: what is the look-up told on standard error?
  >     $(sed -n "s/^$1 \(.*\) %t %k$/\1/p" sshd_config) \
  >         $(cut -d ' ' -f 1,2 "$2") > line && [ ! -s line ]
  > }

Keys

  $ enter ann
  Hello ann
  $ enter new
  Hello new

Those of another type, or with too few bits, open nothing, and whose they are
is said; of keys that are nobody's nothing is.

  $ enter old
  Permission denied
  $ enter big
  Permission denied
  $ told AuthorizedKeysCommand keys/old.pub
  hgfleet: old does not get in by a key: RSA keys of 2048 bits are not accepted here
  $ told AuthorizedKeysCommand keys/big.pub
  hgfleet: big does not get in by a key: keys of type ecdsa-384 are not accepted here
  $ told AuthorizedKeysCommand keys/cert.pub

Certificates

  $ sign() { # NAME [OPTION...]: sign the key, as by the options
  >     name=$1
  >     shift
  >     ssh-keygen -q -s keys/ca -I "$name@example.org" "$@" keys/cert.pub
  >     mv keys/cert-cert.pub $name.pub
  > }
  $ by() { # NAME [OPTION...]: who is let in by a certificate?
  >     name=$1
  >     shift
  >     enter cert -o CertificateFile=$name.pub "$@"
  > }
  $ enter cert
  Permission denied
  $ sign good -n bob -z 7 -V -1h:+1h
  $ by good
  Hello bob
  $ sign roles -n webmasters,bob,root@example.org
  $ by roles
  Hello bob
  $ hg id ssh://fleet/demo \
  >     --config ui.ssh="ssh -F $TESTTMP/as-cert -o CertificateFile=good.pub"
  000000000000

One opens no more than the forced command, whatever else it permits.

  $ ssh -F as-cert -o CertificateFile=good.pub fleet 'touch ran; id' 2>&1 \
  >     | head -n 1
  hgfleet: this command is not allowed here
  $ ssh -F as-cert -o CertificateFile=good.pub -o RequestTTY=force fleet 2>&1 \
  >     | head -n 1
  PTY allocation request failed on channel 0\r (esc)
  $ ssh -F as-cert -o CertificateFile=good.pub -W 127.0.0.1:$HGPORT fleet 2>&1 \
  >     | grep -o '.*failed'
  stdio forwarding failed

Without exactly one user that is let in, none is.

  $ sign nobody -n eve
  $ by nobody
  Permission denied
  $ sign locked -n gone
  $ by locked
  Permission denied
  $ sign two -n ann,bob
  $ by two
  Permission denied
  $ sign half -n bob,gone
  $ by half
  Permission denied
  $ sign none
  $ by none
  Permission denied
  $ for each in nobody locked two half none; do
  >     told AuthorizedPrincipalsCommand $each.pub
  > done
  hgfleet: nobody gets in by certificate 'nobody@example.org', serial 0: none of its principals is a user
  hgfleet: nobody gets in by certificate 'locked@example.org', serial 0: gone is locked out
  hgfleet: nobody gets in by certificate 'two@example.org', serial 0: its principals are several users: ann, bob
  hgfleet: nobody gets in by certificate 'half@example.org', serial 0: its principals are several users: bob, gone
  hgfleet: nobody gets in by certificate 'none@example.org', serial 0: none of its principals is a user

Nor by one that is too old or too young, for another place, or of a host.

  $ sign expired -n bob -V -2h:-1h
  $ by expired
  Permission denied
  $ grep -c 'Certificate invalid: expired' log
  1
  $ sign early -n bob -V +1h:+2h
  $ by early
  Permission denied
  $ sign away -n bob -O source-address=192.0.2.0/24
  $ by away
  Permission denied
  $ sign machine -n bob -h
  $ by machine
  Permission denied

The account that all log in to is no user.

  $ sign account -n "$(id -un)"
  $ by account
  Permission denied

Nor by one that somebody else has signed, or that was changed.

  $ ssh-keygen -q -s keys/other -I other -n bob keys/cert.pub
  $ mv keys/cert-cert.pub foreign.pub
  $ by foreign
  Permission denied
  $ "$PYTHON" - <<EOF
  > import base64
  > kind, text, *_comment = open('good.pub').read().split()
  > raw = base64.b64decode(text)
  > assert raw.count(b'\0\0\0\3bob') == 1
  > raw = raw.replace(b'\0\0\0\3bob', b'\0\0\0\3ann')
  > open('forged.pub', 'w').write(f'{kind} {base64.b64encode(raw).decode()}\n')
  > EOF
  $ by forged
  Permission denied

A command of its own is not run, and neither is ours.

  $ sign command -n bob -O force-command='touch ran'
  $ by command
  Permission denied
  $ told AuthorizedPrincipalsCommand command.pub
  hgfleet: nobody gets in by a certificate: the certificate brings a command of its own

The key in a certificate keeps to the same limits.

  $ ssh-keygen -q -s keys/ca -I weak -n bob keys/old.pub
  $ enter old
  Permission denied
  $ told AuthorizedPrincipalsCommand keys/old-cert.pub
  hgfleet: nobody gets in by certificate 'weak', serial 0: RSA keys of 2048 bits are not accepted here
  $ rm keys/old-cert.pub

Revoked keys, as a list: the key itself, a certificate by its key, and all that
somebody has signed. What counts is the file as it is.

  $ cat keys/zoe.pub keys/cert.pub > revoked
  $ enter zoe
  Permission denied
  $ by good
  Permission denied
  $ enter ann
  Hello ann
  $ cat keys/ca.pub > revoked
  $ by good
  Permission denied
  $ enter zoe
  Hello zoe

As a list of ssh-keygen's own kind, also by serial numbers and names

  $ echo serial: 7 > list
  $ ssh-keygen -q -k -f revoked -s keys/ca.pub list
  $ by good
  Permission denied
  $ by roles
  Hello bob
  $ echo id: roles@example.org > list
  $ ssh-keygen -q -k -f revoked -s keys/ca.pub list keys/zoe.pub
  $ by roles
  Permission denied
  $ by good
  Hello bob
  $ enter zoe
  Permission denied

Without the file of those who are trusted, no certificate counts, and keys do.

  $ mv user-ca.pub away
  $ by good
  Permission denied
  $ enter ann
  Hello ann
  $ mv away user-ca.pub

Without the file of what is revoked nobody gets in at all, nor with one that is
damaged.

  $ mv revoked away
  $ enter ann
  Permission denied
  $ by good
  Permission denied
  $ head -c 40 away > revoked
  $ enter ann
  Permission denied
  $ cp away revoked
  $ enter ann
  Hello ann
  $ by good
  Hello bob

Without a directory nobody does either.

  $ mv users.toml away
  $ by good
  Permission denied
  $ mv away users.toml
  $ by good
  Hello bob

An sshd that has nobody to ask about principals takes none, not even the name of
the account.

  $ sed "s/^Port .*/Port $HGPORT1/; /^AuthorizedPrincipalsCommand /d" sshd_config \
  >     > without
  $ listen without
  $ by account -p $HGPORT1
  Permission denied
  $ by good -p $HGPORT1
  Permission denied
  $ enter ann -p $HGPORT1
  Hello ann

The configuration in the manual does the same in an sshd with other ones.

  $ pash=$("$PYTHON" -c 'import fleetpash; print(*fleetpash.__path__)')
  $ cat > manual <<EOF
  > Port $HGPORT2
  > ListenAddress 127.0.0.1
  > HostKey $TESTTMP/keys/host
  > PidFile none
  > UsePAM no
  > PermitRootLogin forced-commands-only
  > EOF
  $ grep '^PerSourcePenaltyExemptList ' sshd_config >> manual || true
  $ sed -n '/^    Match User hg$/,/^$/p' "$TESTDIR/../docs/operate.md" \
  >     | sed -e "s,/opt/hgfleet/lib/[^ ]*/fleetpash,$pash," \
  >         -e "s,/opt/hgfleet/bin,$bin,g; s,/etc/hgfleet,$TESTTMP,g" \
  >         -e "s,User hg\$,User $(id -un)," >> manual
  $ grep -c '^ ' manual
  13
  $ "$sshd" -t -f manual
  $ listen manual
  $ enter ann -p $HGPORT2
  Hello ann
  $ by good -p $HGPORT2
  Hello bob
  $ enter old -p $HGPORT2
  Permission denied
  $ enter zoe -p $HGPORT2
  Permission denied
  $ for each in roles two account command expired foreign; do
  >     by $each -p $HGPORT2
  > done
  Permission denied
  Permission denied
  Permission denied
  Permission denied
  Permission denied
  Permission denied
  $ find . -name ran
