What the log of the server says of sessions over SSH and requests over HTTP
===========================================================================

  $ . "$TESTDIR/testlib/nodes.sh"
  $ node p1 primary
  $ node m1 mirror
  $ for each in p1 m1; do
  >   printf '[extensions]\nserverlog =\n' >> $each/hgrc
  > done
  $ cat > users.toml <<EOF
  > [users.ann]
  > groups = ["staff"]
  > [users.bob]
  > EOF
  $ sed -i 's/^\*\* = .*/** = staff:write, *:read/' p1/hgrc m1/hgrc
  $ cat >> p1/hgrc <<EOF
  > directory = file://$TESTTMP/users.toml
  > EOF
  $ sed -i 's/^directory/[fleet]\ndirectory/' p1/hgrc
  $ printf '[extensions]\nfleetpash =\nwarmserver =\n' >> p1/hgrc
  $ on p1 hg replicate::create demo

The door stands for sshd.

  $ bin=$("$PYTHON" -c 'import sys; print(sys.prefix + "/bin")')
  $ pash=$("$bin/python" -c 'import fleetpash; print(fleetpash.__path__[0])')
  $ cat > door <<EOF
  > #!/bin/sh
  > export SSH_ORIGINAL_COMMAND="\$3" SSH_CLIENT='10.1.2.3 4567 22'
  > exec "$bin/python" -I -S "$pash/pash.py" --hg "$bin/hg" \
  >     --hgrc "$TESTTMP/p1/hgrc" --warm "$TESTTMP/p1/state/warm.sock" "\$1"
  > EOF
  $ chmod +x door
  $ as() { echo "--config=ui.ssh=$TESTTMP/door $1"; }
  $ cat > tell.py <<EOF
  > import json, sys, time
  > path, *names = sys.argv[1:]
  > FIXED = ('node', 'door', 'repo', 'user', 'from', 'method', 'path', 'command')
  > def read():
  >     begun = {}
  >     lines = [json.loads(line) for line in open(path)]
  >     for said in lines:
  >         what, _, which = said['event'].partition('-')
  >         assert said['time'].endswith('Z') and len(said['session']) == 16
  >         fixed = {name: said.get(name) for name in FIXED}
  >         key = said['pid'], said['session'], what
  >         if which == 'start':
  >             begun[key] = fixed
  >             assert 'wall' not in said and 'read' not in said, said
  >         else:
  >             assert begun.pop(key) == fixed, said
  >             assert 0 <= said['cpu'] and 0 < said['wall'] < 3600, said
  >             assert said['read'] >= 0 and said['written'] >= 0, said
  >     return lines, begun
  > for _ in range(2400):
  >     lines, begun = read()
  >     if not begun:
  >         break
  >     time.sleep(0.05)
  > for said in lines:
  >     print(said['event'], *(said[name] for name in names if name in said))
  > assert not begun, begun
  > EOF
  $ tell() {
  >   "$PYTHON" "$TESTTMP/tell.py" $1/state/serverlog.log $2
  >   rm $1/state/serverlog.log
  > }

A clone is one session, with a command for each question of the client.

  $ hg clone -q "$(as ann)" ssh://host/demo work
  $ tell p1 'node door repo user from command'
  session-start p1 ssh demo ann 10.1.2.3
  command-start p1 ssh demo ann 10.1.2.3 hello
  command-end p1 ssh demo ann 10.1.2.3 hello
  command-start p1 ssh demo ann 10.1.2.3 between
  command-end p1 ssh demo ann 10.1.2.3 between
  command-start p1 ssh demo ann 10.1.2.3 protocaps
  command-end p1 ssh demo ann 10.1.2.3 protocaps
  command-start p1 ssh demo ann 10.1.2.3 batch
  command-end p1 ssh demo ann 10.1.2.3 batch
  command-start p1 ssh demo ann 10.1.2.3 getbundle
  command-end p1 ssh demo ann 10.1.2.3 getbundle
  session-end p1 ssh demo ann 10.1.2.3

So is a push.  Bytes are those of the command, without its name.

  $ cd work
  $ "$PYTHON" -c 'print("x" * 100000)' > f
  $ hg commit -q -A -m one -u somebody
  $ hg push -q "$(as ann)" --config experimental.bundlecomp=UN
  $ cd ..
  $ "$PYTHON" - <<EOF
  > import json
  > for line in open('p1/state/serverlog.log'):
  >     said = json.loads(line)
  >     if said['event'].endswith('-end') and said['read'] > 150:
  >         print(said['event'], said.get('command', ''))
  > EOF
  command-end unbundle
  session-end 
  $ tell p1 'command failed' | grep unbundle
  command-start unbundle
  command-end unbundle

And a pull, of somebody else: what is streamed is counted as well.

  $ hg init other
  $ hg -R other pull -q "$(as bob)" ssh://host/demo
  $ "$PYTHON" - <<EOF
  > import json
  > sizes = {}
  > for line in open('p1/state/serverlog.log'):
  >     said = json.loads(line)
  >     sizes[said['user'], said.get('command')] = said.get('written')
  > print(sizes['bob', 'getbundle'] > 300)
  > print(sizes['bob', None] == sum(n for (_, c), n in sizes.items() if c))
  > EOF
  True
  True
  $ rm p1/state/serverlog.log

A push that is refused is there too.

  $ cd other && hg update -q && echo b > b && hg commit -q -A -m b -u bob
  $ hg push "$(as bob)" ssh://host/demo
  pushing to ssh://host/demo
  searching for changes
  remote: hgfleet: bob may not write to demo
  remote: (ask an administrator of this fleet for write access)
  abort: remote error
  (check previous remote output)
  [100]
  $ cd ..
  $ tell p1 'user command' | grep 'session\|unbundle'
  session-start bob
  command-start bob unbundle
  command-end bob unbundle
  session-end bob

A client that goes away has an end as well, which says so.

  $ printf 'hello\nunbundle\nheads 10\n666f726365' > asked
  $ ./door ann host 'hg -R demo serve --stdio' < asked > out
  hgfleet: the connection ended in the middle of a request
  [75]
  $ tell p1 'command failed'
  session-start
  command-start hello
  command-end hello
  command-start unbundle
  command-end unbundle True
  session-end True

Sessions from a warm server say the same.

  $ HGRCPATH=$TESTTMP/p1/hgrc "$bin/hg" warmserver::serve >> log 2>&1 &
  $ echo $! >> $DAEMON_PIDS
  $ waitfor() {
  >   for each in $("$PYTHON" -c 'print(*range(2400))'); do
  >     grep -q "$2" "$1" && return
  >     sleep 0.05
  >   done
  >   cat "$1"
  > }
  $ waitfor log serving
  $ hg -R other incoming -q "$(as bob)" ssh://host/demo
  [1]
  $ tell p1 'repo user command' > said; head -n 3 said
  session-start demo bob
  command-start demo bob hello
  command-end demo bob hello
  $ waitfor log 'user=bob repo=demo outcome=served'

A line that cannot be written is lost, and nobody but the log hears of it.

  $ cp p1/hgrc p1/good
  $ cat >> p1/hgrc <<EOF
  > [serverlog]
  > file = file://$TESTTMP/none/serverlog.log
  > [extensions]
  > blackbox =
  > [blackbox]
  > track = serverlog
  > EOF
  $ hg -R other pull "$(as bob)" ssh://host/demo
  pulling from ssh://host/demo
  searching for changes
  no changes found
  $ sed 's/.*> //' p1/repos/demo/.hg/blackbox.log
  [serverlog] file, file://$TESTTMP/none/serverlog.log, cannot be written: [Errno 2] No such file or directory: '$TESTTMP/none/serverlog.log'
  $ for each in file:///dev/full nonsense syslog://$TESTTMP/none; do
  >     echo "[serverlog]" >> p1/hgrc; echo "file = $each" >> p1/hgrc
  >     hg -R other pull -q "$(as bob)" ssh://host/demo
  > done
  $ sed 's/.*> //' p1/repos/demo/.hg/blackbox.log | tail -n 3
  [serverlog] file, file:///dev/full, cannot be written: [Errno 28] No space left on device
  [serverlog] file, nonsense, cannot be written: [serverlog] file is 'nonsense'
  [serverlog] file, syslog://$TESTTMP/none, cannot be written: [Errno 2] No such file or directory
  $ mv p1/good p1/hgrc

HTTP: the mirror's repository, and what the daemon would say.

  $ on m1 hg replicate::catchup demo
  demo: at entry 2
  $ cat > show.py << EOF
  > from hgext3rd.fleet import adapters, files
  > from hgext3rd.fleet.core.shown import Shown, encode
  > clock = adapters.system_clock()
  > until = clock.boot() + 600
  > positions = {part: 2 for part in range(8)}
  > shown = Shown('m1', clock.boot_id(), until, positions, joining=False)
  > files.replace('m1/state/shown.json', encode(shown))
  > EOF
  $ "$PYTHON" show.py
  $ URL=http://$LOCALIP:$HGPORT
  $ HGRCPATH="$TESTTMP/m1/hgrc" HGPLAIN=1 HGENCODING=utf-8 \
  >   "$PYTHON" -m gunicorn --worker-class gthread --workers 1 --threads 4 \
  >   --no-control-socket --bind $LOCALIP:$HGPORT \
  >   hgext3rd.fleet.web:application > error.log 2>&1 &
  $ echo $! >> "$DAEMON_PIDS"
  $ for each in $("$PYTHON" -c 'print(*range(2400))'); do
  >   "$PYTHON" "$TESTDIR/testlib/get.py" $URL/healthz > health 2>&1 && break
  >   sleep 0.05
  > done

A pull is a request for each question.

  $ hg clone -q -U $URL/demo web
  $ tell m1 'node door repo user method path command status'
  request-start m1 http demo GET /demo
  command-start m1 http demo GET /demo capabilities
  command-end m1 http demo GET /demo capabilities 200
  request-end m1 http demo GET /demo 200
  request-start m1 http demo GET /demo
  command-start m1 http demo GET /demo batch
  command-end m1 http demo GET /demo batch 200
  request-end m1 http demo GET /demo 200
  request-start m1 http demo GET /demo
  command-start m1 http demo GET /demo getbundle
  command-end m1 http demo GET /demo getbundle 200
  request-end m1 http demo GET /demo 200

Pages are requests, and what is no repository is not there.

  $ get() { "$PYTHON" "$TESTDIR/testlib/get.py" "$URL/$1" > page; }
  $ get demo/raw-file/tip/f; wc -c < page
  100005
  $ get demo/rev/nonsense
  $ get nothing/here; get
  $ tell m1 'path status written'
  request-start /demo/raw-file/tip/f
  request-end /demo/raw-file/tip/f 200 100001
  request-start /demo/rev/nonsense
  request-end /demo/rev/nonsense 404 * (glob)

A place that cannot be written to hurts nobody here either.

  $ rm -f m1/state/serverlog.log; mkdir m1/state/serverlog.log
  $ get demo/raw-file/tip/f; wc -c < page
  100005
  $ get demo/raw-file/tip/f; wc -c < page
  100005
  $ grep -c 'cannot be written' error.log
  1

All fields are explained.

  $ hg --config extensions.serverlog= help serverlog | grep '^"'
  "serverlog.file" (default: "serverlog.log" in "fleet.state")
  "time"
  "node"
  "event"
  "pid"
  "session"
  "door"
  "repo"
  "user"
  "from"
  "method", "path"
  "command"
  "read", "written"
  "wall", "cpu"
  "status"
  "failed"
