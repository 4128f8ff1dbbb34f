Sessions from a server that is warm, and from the forced command itself.

  $ bin=$("$PYTHON" -c 'import sys; print(sys.prefix + "/bin")')
  $ pash=$("$bin/python" -c 'import fleetpash; print(fleetpash.__path__[0])')
  $ cat > door <<EOF
  > #!/bin/sh
  > export SSH_ORIGINAL_COMMAND="\$3" SSH_CLIENT='10.1.2.3 4567 22' LEAK=yes
  > exec "$bin/python" -I -S "$pash/pash.py" --hg "$bin/hg" \
  >     --hgrc "$TESTTMP/primary.rc" --warm "$TESTTMP/state/warm.sock" "\$1"
  > EOF
  $ chmod +x door
  $ door() { "$TESTTMP/door" "$1" host "$2" < /dev/null; }
  $ as() { echo "--config=ui.ssh=$TESTTMP/door $1"; }
  $ cat > users.toml <<EOF
  > [users.ann]
  > groups = ["staff"]
  > [users.bob]
  > EOF
  $ cat > seen.py <<EOF
  > import os, sys
  > from mercurial import encoding
  > def seen(ui, repo, **_):
  >     env = encoding.environ
  >     umask = os.umask(0)
  >     os.umask(umask)
  >     with open('$TESTTMP/seen', 'a') as file:
  >         print(
  >             env[b'USER'].decode(), env[b'SSH_CLIENT'].decode(), '%o' % umask,
  >             sys.argv[1], os.getcwd(), sorted(os.environ) == sorted(
  >                 x.decode() for x in env), *(
  >                 n for n in os.environ if n.startswith(('HG', 'LEAK'))),
  >             file=file)
  > EOF
  $ cat > extra.rc <<EOF
  > [hooks]
  > pretxnclose.seen = python:$TESTTMP/seen.py:seen
  > EOF
  $ cat > primary.rc <<EOF
  > %include extra.rc
  > [extensions]
  > fleetpash =
  > warmserver =
  > [fleet]
  > root = $TESTTMP/repos
  > state = $TESTTMP/state
  > directory = file://$TESTTMP/users.toml
  > [access]
  > secret = @ann:admin
  > ** = staff:write, *:read
  > EOF
  $ mkdir state
  $ hg init repos/demo
  $ hg init repos/secret
  $ start() {
  >     HGRCPATH=$TESTTMP/primary.rc "$bin/hg" warmserver::serve >> log 2>&1 &
  >     server=$!; echo $server >> $DAEMON_PIDS
  >     waitfor "$TESTTMP/log" serving
  > }
  $ waitfor() {
  >     for each in $("$PYTHON" -c 'print(*range(2400))'); do
  >         grep -q "$2" "$1" 2> /dev/null && return 0; sleep 0.05
  >     done
  >     echo "no $2 in $1"; cat "$1"
  > }
  $ hg init clone; cd clone; echo 1 > a; hg commit -qAm 1

Without it, the forced command becomes the session

  $ hg push -q "$(as ann)" ssh://any/demo
  $ cat ../seen; rm ../seen
  ann 10.1.2.3 4567 22 22 pash::session / True HGENCODING HGPLAIN HGRCPATH HGFLEET_COMMAND

With it, everything is the same, and the session is its child

  $ cd ..; start; cd clone
  $ echo 2 > a; hg commit -qm 2; hg push -q "$(as ann)" ssh://any/demo
  $ cat ../seen; rm ../seen
  ann 10.1.2.3 4567 22 22 warmserver::serve / True HGENCODING HGPLAIN HGRCPATH HGFLEET_COMMAND

Umask and identity belong to the session

  $ echo 3 > a; hg commit -qm 3
  $ (umask 027; hg push -q "$(as ann)" ssh://any/demo)
  $ cat ../seen; rm ../seen
  ann 10.1.2.3 4567 22 27 warmserver::serve / True HGENCODING HGPLAIN HGRCPATH HGFLEET_COMMAND
  $ echo 4 > a; hg commit -qm 4
  $ hg push "$(as bob)" ssh://any/demo
  pushing to ssh://any/demo
  searching for changes
  remote: hgfleet: bob may not write to demo
  remote: (ask an administrator of this fleet for write access)
  abort: remote error
  (check previous remote output)
  [100]
  $ hg identify "$(as bob)" ssh://any/secret
  remote: hgfleet: repository secret does not exist or you may not read it
  abort: no suitable response from remote hg
  [255]
  $ hg push -q "$(as ann)" ssh://any/demo; rm ../seen
  $ cd ..
  $ door ann 'hg init x'
  hgfleet: a repository cannot be created with "hg init"
  (use "clone NAME" over SSH; see "help")
  [1]
  $ door none ''
  hgfleet: none is not known here
  (ask an administrator)
  [1]

Settings are read for each session; what has been included is noticed as well

  $ echo 'pretxnclose.more = echo more >> $TESTTMP/seen' > more.rc
  $ cat more.rc >> extra.rc
  $ sed -i "s,\$TESTTMP,$TESTTMP," extra.rc
  $ cd clone; echo 5 > a; hg commit -qm 5; hg push -q "$(as ann)" ssh://any/demo
  $ sort ../seen; rm ../seen
  ann 10.1.2.3 4567 22 22 * / True HGENCODING HGPLAIN HGRCPATH HGFLEET_COMMAND (glob)
  more
  $ waitfor ../log 'extra.rc has changed: starting anew'
  $ again() { [ "$(grep -c serving ../log)" -ge $1 ] || { sleep 0.1; again $1; }; }
  $ again 2
  $ echo 6 > a; hg commit -qm 6; hg push -q "$(as ann)" ssh://any/demo
  $ sort ../seen; rm ../seen
  ann 10.1.2.3 4567 22 22 warmserver::serve / True HGENCODING HGPLAIN HGRCPATH HGFLEET_COMMAND
  more

So are a repository's own settings, and hooks in files

  $ cat >> ../repos/demo/.hg/hgrc <<EOF
  > [hooks]
  > pretxnclose.no = python:$TESTTMP/hook.py:no
  > EOF
  $ for text in one three; do
  >     cat > ../hook.py <<EOF
  > def no(ui, **_):
  >     ui.warn(b'%s\n' % b'$text')
  >     return 1
  > EOF
  >     echo $text > a; hg commit -qm $text
  >     hg push "$(as ann)" ssh://any/demo 2>&1 \
  >     | grep -v 'transaction\|adding\|pushing\|searching\|rollback'
  > done
  remote: one
  remote: pretxnclose.no hook failed
  abort: push failed on remote
  remote: three
  remote: pretxnclose.no hook failed
  abort: push failed on remote
  $ rm ../repos/demo/.hg/hgrc ../seen

Rubbish, silence and half a request cost nobody anything

  $ cd ..
  $ cat > rubbish.py <<EOF
  > import array, os, socket
  > def link():
  >     one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
  >     one.connect('$TESTTMP/state/warm.sock')
  >     return one
  > silent = [link() for _ in range(300)]
  > for packet in (b'x', b'hgfleet 1', b'hgfleet 1\0rr\0ann\0', b'x' * 70000,
  >                b'hgfleet 1\x0022\x00ann\x00hg\x00LD_PRELOAD=/x'):
  >     one = link()
  >     socket.send_fds(one, [packet], [0, 1, 2])
  >     print(one.recv(100).decode())
  > one = link()
  > one.send(b'hgfleet 1\x0022\x00ann\x00')
  > print(one.recv(100).decode())
  > os.system("$TESTTMP/door ann host '' | head -n 1")
  > EOF
  $ "$PYTHON" rubbish.py
  no not a request of this version
  no not a request of this version
  no the umask b'rr' is no octal number
  no the packet is too large
  no the variable b'LD_PRELOAD' is not passed on
  no three descriptors belong to a request
  Hello ann. This is a Mercurial server; there is no shell here.

It says what it does, and what became of whom

  $ waitfor log 'outcome=served status=1 .*'
  $ hgn() { HGRCPATH=$TESTTMP/primary.rc hg "$@"; }
  $ hgn warmserver::status
  server *: serving for * s, * MB, workers: * (glob)
  sessions: * served (glob)
  declined: 6 nonsense, * silent* (glob)
  by workers: * (glob)
  handovers: 1
  $ hgn warmserver::status -T '{handovers} {servers % "{stage}"} {counts % "{name}\n"}' | grep -o 'worker.none'
  worker.none
  $ hgn warmserver::status -T json | "$PYTHON" -c '
  > import json, sys
  > (one,) = json.load(sys.stdin)
  > print(sorted(one), sorted(one["servers"][0]))
  > print(one["counts"]["outcome.nonsense"])'
  ['counts', 'handovers', 'pid', 'servers'] ['memory', 'pid', 'rehearsing', 'serving', 'since', 'spare', 'stage']
  6
  $ hgn warmserver::status --metrics | grep -v '^#' | sed 's/[0-9.]*$/N/' | sort
  hgfleet_warm_cpu_seconds_total N
  hgfleet_warm_handovers_total N
  hgfleet_warm_memory_bytes N
  hgfleet_warm_seconds_total N
  hgfleet_warm_servers N
  hgfleet_warm_sessions_total{outcome="busy"} N
  hgfleet_warm_sessions_total{outcome="foreign"} N
  hgfleet_warm_sessions_total{outcome="killed"} N
  hgfleet_warm_sessions_total{outcome="left"} N
  hgfleet_warm_sessions_total{outcome="nonsense"} N
  hgfleet_warm_sessions_total{outcome="served"} N
  hgfleet_warm_sessions_total{outcome="silent"} N
  hgfleet_warm_sessions_total{outcome="stale"} N
  hgfleet_warm_workers{stage="rehearsing"} N
  hgfleet_warm_workers{stage="serving"} N
  hgfleet_warm_workers{stage="spare"} N
  $ grep -c 'session user=ann repo=demo outcome=served status=0 worker=.* seconds=.* cpu=.*' log > /dev/null
  $ grep 'user=bob repo=secret' log
  session user=bob repo=secret outcome=served status=1 worker=* seconds=* cpu=* (glob)
  $ hgn warmserver::reload
  $ (cd clone; again 3)

A server that is killed, or told to stop, is not missed

  $ kill -9 $server
  $ door ann '' | head -n 1
  Hello ann. This is a Mercurial server; there is no shell here.
  $ rm log; start
  $ door ann '' | head -n 1
  Hello ann. This is a Mercurial server; there is no shell here.
  $ hgn warmserver::stop; wait $server
  $ hgn warmserver::stop
  abort: cannot ask the warm server at $TESTTMP/state/warm.sock: No such file or directory
  (is "hg warmserver::serve" running?)
  [255]
  $ ls state
  audit.log
  warm
  warm.lock
  $ door ann '' | head -n 1
  Hello ann. This is a Mercurial server; there is no shell here.

When all of its workers are busy, it waits without doing anything

  $ printf '[warmserver]\nworkers = 1\n' >> extra.rc
  $ rm log; start
  $ cat > busy.py <<EOF
  > import os, socket, subprocess, time
  > def used():
  >     with open('/proc/$server/task/$server/children') as file:
  >         pids = ['$server', *file.read().split()]
  >     return sum(sum(map(int, open(f'/proc/{pid}/stat').read()
  >                             .split()[13:15])) for pid in pids)
  > link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
  > link.connect('$TESTTMP/state/warm.sock')
  > session = subprocess.Popen(
  >     ['$TESTTMP/door', 'ann', 'host', 'hg -R demo serve --stdio'],
  >     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
  > session.stdin.write(b'hello\\n')
  > session.stdin.flush()
  > session.stdout.readline()
  > before = used()
  > link.send(b'x')
  > time.sleep(2)
  > print('still' if used() - before < 60 else f'busy: {used() - before}')
  > session.communicate()
  > print(link.recv(100).decode())
  > EOF
  $ "$PYTHON" busy.py
  still
  no three descriptors belong to a request
  $ kill $server; wait $server
