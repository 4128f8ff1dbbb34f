Repositories that nobody may push to for a while
================================================

  $ . "$TESTDIR/testlib/nodes.sh"
  $ node p1 primary
  $ node p2 primary
  $ cat > users.toml <<EOF
  > [users.ann]
  > EOF
  $ cat >> p1/hgrc <<EOF
  > directory = file://$TESTTMP/users.toml
  > [extensions]
  > fleetpash =
  > warmserver =
  > readonly =
  > readonly:required = yes
  > [readonly]
  > all-file = $TESTTMP/reason
  > [experimental]
  > evolution = all
  > EOF
  $ printf '[experimental]\nevolution = all\n' >> p2/hgrc
  $ printf '[phases]\npublish = no\n' > open.rc
  $ on p1 hg replicate::create demo --hgrc open.rc
  $ on p1 hg replicate::create other --hgrc open.rc
  $ on p2 hg replicate::catchup demo
  demo: at entry 1

  $ bin=$("$PYTHON" -c 'import sys; print(sys.prefix + "/bin")')
  $ pash=$("$bin/python" -c 'import fleetpash; print(fleetpash.__path__[0])')
  $ cat > door <<EOF
  > #!/bin/sh
  > export SSH_ORIGINAL_COMMAND="\$2"
  > exec "$bin/python" -I -S "$pash/pash.py" --hg "$bin/hg" \
  >     --hgrc "$TESTTMP/p1/hgrc" --warm "$TESTTMP/p1/state/warm.sock" ann
  > EOF
  $ chmod +x door
  $ cat >> "$HGRCPATH" <<EOF
  > [ui]
  > ssh = $TESTTMP/door
  > [experimental]
  > evolution = all
  > EOF
  $ hg clone -q ssh://host/demo work
  $ cd work
  $ echo a > a && hg commit -q -A -m a && hg push -q
  $ echo b > b && hg commit -q -A -m b

A file says that all of them are read-only, and why.

  $ state() {
  >   hg -R ../p1/repos/demo log -T '{node|short} {phase} {bookmarks}\n'
  >   hg -R ../p1/repos/demo debugobsolete
  > }
  $ state > ../before
  $ echo 'moving to another machine room' > ../reason
  $ hg push
  pushing to ssh://host/demo
  searching for changes
  remote: hgfleet: demo is read-only: moving to another machine room
  remote: (it can be pulled from; push again when this is over)
  abort: remote error
  (check previous remote output)
  [100]
  $ hg push ssh://host/other 2>&1 | grep read-only
  remote: hgfleet: other is read-only: moving to another machine room

That goes for changesets in either kind of bundle, bookmarks, phases and
markers.

  $ try() { hg push "$@" 2>&1 | grep 'read-only\|abort'; }
  $ try --config devel.legacy.exchange=bundle1
  remote: hgfleet: demo is read-only: moving to another machine room
  abort: remote error
  $ hg bookmark mark -r 0
  $ try -r 0 -B mark
  remote: hgfleet: demo is read-only: moving to another machine room
  abort: remote error
  $ try -r 0 -B mark --config devel.legacy.exchange=bookmarks
  remote: hgfleet: demo is read-only: moving to another machine room
  abort: remote error
  $ hg phase --public 0
  $ try -r 0
  remote: hgfleet: demo is read-only: moving to another machine room
  abort: remote error
  $ hg phase --force --draft 0
  $ hg debugobsolete 1111111111111111111111111111111111111111 \
  >     $(hg log -r 0 -T '{node}')
  1 new obsolescence markers
  $ try -r 0
  remote: hgfleet: demo is read-only: moving to another machine room
  abort: remote error
  $ try -r 0 --config devel.legacy.exchange=obsmarkers
  remote: hgfleet: demo is read-only: moving to another machine room
  abort: remote error
  $ state | diff ../before -

A batch does not get around it, and the session goes on.

  $ printf 'batch\n* 0\ncmds %d\n%s' 47 \
  >     'pushkey namespace=bookmarks,key=x,old=,new=1234' > ../asked
  $ printf 'heads\n' >> ../asked
  $ ../door host 'hg -R demo serve --stdio' < ../asked | tail -n 1 | wc -c
  hgfleet: demo is read-only: moving to another machine room
  (it can be pulled from; push again when this is over)
  41

Nor does a push on the server itself.

  $ on p1 hg push -q -r . ../p1/repos/demo
  error: pretxnopen.readonly hook failed: demo is read-only: moving to another machine room
  abort: demo is read-only: moving to another machine room
  (it can be pulled from; push again when this is over)
  [255]

Nor is a repository made, changed or deleted.

  $ printf '[access]\n** = *:admin\n' >> ../p1/hgrc
  $ ../door host 'clone new/one demo'
  hgfleet: new/one is read-only: moving to another machine room
  (ask again when this is over)
  [1]
  $ ../door host 'edit demo description text'
  hgfleet: demo is read-only: moving to another machine room
  (ask again when this is over)
  [1]
  $ ../door host 'edit other delete YES'
  hgfleet: other is read-only: moving to another machine room
  (ask again when this is over)
  [1]
  $ ls ../p1/repos
  demo
  other
  $ ../door host 'edit demo'
  repo:          demo
  description:
  publishing:    no
  obsolescence:  no

Pulling goes on.

  $ hg clone -q -U ssh://host/demo ../pulled

What other nodes accept is applied.

  $ on p2 hg replicate::catchup demo
  demo: at entry 2
  $ hg push -q -r 0 --config "ui.ssh=$TESTTMP/ssh" ssh://p2/demo -B mark
  [1]
  $ on p1 hg replicate::catchup demo
  demo: at entry 3
  $ state
  * draft mark (glob)
  1111111111111111111111111111111111111111 * (glob)

A file that cannot be read is a reason as well, and one that says nothing.

  $ rm ../reason && mkdir ../reason
  $ try
  remote: hgfleet: demo is read-only: the reason cannot be read (Is a directory)
  abort: remote error
  $ rmdir ../reason && ln -s nowhere ../reason
  $ try
  remote: hgfleet: demo is read-only: the file with the reason leads nowhere
  abort: remote error
  $ rm ../reason && touch ../reason
  $ try
  remote: hgfleet: demo is read-only: no reason is given
  abort: remote error
  $ "$PYTHON" -c 'print("a\x1b[31m\n\u00fc" * 200)' > ../reason
  $ try | cut -c 1-56
  remote: hgfleet: demo is read-only: a [31m \xc3\xbca [31m \xc3\xbca  (esc)
  abort: remote error
  $ rm ../reason

One repository, by its own hgrc, which is the same on all nodes.

  $ cat > ../closed.rc <<EOF
  > [phases]
  > publish = no
  > [readonly]
  > reason = the history is being rewritten
  > EOF
  $ on p2 hg replicate::config demo ../closed.rc
  $ on p1 hg replicate::catchup demo
  demo: at entry 4
  $ try
  remote: hgfleet: demo is read-only: the history is being rewritten
  abort: remote error
  $ ../door host 'edit demo delete YES'
  hgfleet: demo is read-only: the history is being rewritten
  (ask again when this is over)
  [1]
  $ on p2 hg replicate::config demo ../open.rc
  $ on p1 hg replicate::catchup demo
  demo: at entry 5

It cannot lift what holds for all.

  $ printf '[readonly]\nall = no\n' > ../lift.rc
  $ on p1 hg replicate::config demo ../lift.rc
  abort: ../lift.rc: a hosted repository may not set readonly.all
  (set it in the hgrc of the nodes)
  [255]
  $ printf '[readonly]\nall = an exercise\n' >> ../p1/hgrc
  $ cp ../p1/repos/demo/.hg/hgrc ../kept
  $ cat ../lift.rc >> ../p1/repos/demo/.hg/hgrc
  $ try
  remote: hgfleet: demo is read-only: an exercise
  abort: remote error
  $ cp ../kept ../p1/repos/demo/.hg/hgrc
  $ printf '[readonly]\nall = no\n' >> ../p1/hgrc

A warm server is told at once: here the session has begun before the file is
there.

  $ HGRCPATH=$TESTTMP/p1/hgrc "$bin/hg" warmserver::serve >> ../log 2>&1 &
  $ echo $! >> $DAEMON_PIDS
  $ for each in $("$PYTHON" -c 'print(*range(2400))'); do
  >   grep -q serving ../log && break
  >   sleep 0.05
  > done
  $ "$PYTHON" - <<EOF
  > import subprocess
  > its = subprocess.Popen(
  >     ['../door', 'host', 'hg -R demo serve --stdio'], stdin=subprocess.PIPE,
  >     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
  > its.stdin.write(b'hello\n')
  > its.stdin.flush()
  > its.stdout.read(int(its.stdout.readline()))
  > open('../reason', 'w').write('at once')
  > said = its.communicate(b'unbundle\nheads 10\n666f726365')
  > print(*said)
  > EOF
  b'\n' b'hgfleet: demo is read-only: at once\n(it can be pulled from; push again when this is over)\n'
  $ rm ../reason
  $ hg push -q
