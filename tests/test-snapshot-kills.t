Killed while a snapshot is made or used
=======================================

  $ . "$TESTDIR/testlib/nodes.sh"
  $ node p1 primary
  $ node m1 mirror
  $ on p1 hg replicate::create demo
  $ hg clone -q ssh://p1/demo wc
  $ "$PYTHON" -c 'import os, sys; sys.stdout.buffer.write(os.urandom(1 << 21))' > wc/file
  $ hg -R wc commit -qAm 'one large file' -u ann
  $ hg -R wc push -q
  $ blobs() { find "$TESTTMP/blobs" -type f | wc -l; }
  $ killed() { "$@" > /dev/null 2>&1; [ $? -eq 137 ] && echo killed; }

Before it is listed: there is none yet, and nobody is led astray

  $ killed on p1 hg replicate::snapshot --config devel.fleet-failpoint=snapshot.stored
  killed
  $ on m1 hg replicate::catchup demo
  demo: at entry 2
  $ rm -r m1/repos m1/state
  $ on p1 hg replicate::snapshot
  demo: entry 2, * bytes (glob)

After it is listed, and before the one that it replaces is removed: the next
one does that

  $ for each in 1 2; do
  >     echo $each > wc/small
  >     hg -R wc commit -qAm "change $each" -u ann
  >     hg -R wc push -q
  >     killed on p1 hg replicate::snapshot --config devel.fleet-failpoint=snapshot.listed
  > done
  killed
  killed
  $ blobs
  5
  $ on p1 hg replicate::snapshot -T '{seq}: {removed} removed\n'
  4: 1 removed
  $ blobs
  4

While it is used: nothing of it is there, or all; what is left is made again

  $ for each in bootstrap.unpacked bootstrap.before-rename; do
  >     killed on m1 hg replicate::bootstrap --config devel.fleet-failpoint=$each
  >     ls m1/state/new
  >     [ ! -e m1/repos/demo ]
  > done
  killed
  lock
  snapshot
  killed
  lock
  snapshot
  $ killed on m1 hg replicate::bootstrap --config devel.fleet-failpoint=bootstrap.renamed
  killed
  $ on m1 hg -R m1/repos/demo verify -q
  $ on m1 hg replicate::bootstrap
  demo: at entry 4
  $ on m1 hg -R m1/repos/demo replicate::digest -T '{seq}\n'
  4
  $ on m1 hg -R m1/repos/demo pushlog::verify
  3 changesets in 3 pushes

In the middle of the tail, it goes on with that

  $ rm -r m1/repos m1/state
  $ echo 3 > wc/small
  $ hg -R wc commit -qAm 'change 3' -u ann
  $ hg -R wc push -q
  $ killed on m1 hg replicate::bootstrap --config devel.fleet-failpoint=perform.before-close
  killed
  $ on m1 hg replicate::bootstrap
  demo: at entry 5
  $ on m1 hg -R m1/repos/demo replicate::digest -T '{seq}\n'
  5

A copy that is being made anew: until it changes places with the old one,
nothing has changed; and then all has

  $ for place in bootstrap.before-rename rebuild.made rebuild.before-exchange \
  >     rebuild.exchanged; do
  >   killed on m1 hg replicate::rebuild demo --config devel.fleet-failpoint=$place
  >   on m1 hg -R m1/repos/demo replicate::digest -T '{seq}\n'
  >   on m1 hg -R m1/repos/demo verify -q
  >   ls m1/state/quarantine m1/state/broken 2>&1 | grep demo || true
  > done
  killed
  5
  killed
  5
  killed
  5
  killed
  5
  $ on m1 hg replicate::rebuild demo
  demo: started from a snapshot of entry 4
  demo: rebuilt, at entry 5
  $ ls m1/state/rebuild m1/state/broken
  m1/state/broken:
  demo.* (glob)
  
  m1/state/rebuild:

One that was set aside because of a gap in the ledger goes on by itself

  $ "$PYTHON" - <<EOF
  > import sys; sys.path.insert(0, '$TESTDIR')
  > from pathlib import Path
  > from testlib.hgrepo import make_node
  > from hgext3rd.replicate.lifecycle import set_aside
  > set_aside(make_node(Path('$TESTTMP'), 'm1', 'mirror').hosted('demo'))
  > EOF
  $ cat m1/state/quarantine/demo.json
  {*"reason": "demo is being rebuilt from the ledger"*} (glob)
  $ touch log
  $ on m1 hg replicate::serve > log 2>&1 &
  $ echo $! >> "$DAEMON_PIDS"
  $ left=2400
  $ until grep -q 'demo: following again' log || [ $left = 0 ]; do
  >     left=$((left - 1)); sleep 0.05
  > done
  $ on m1 hg -R m1/repos/demo replicate::digest -T '{seq}\n'
  5
  $ ls m1/state/quarantine m1/state/new
  m1/state/new:
  lock
  
  m1/state/quarantine:
  $ on m1 sh -c 'kill $(cat m1/state/daemon.lock)'
  $ wait
