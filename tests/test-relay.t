A push by way of the relay, which keeps the ledger connected
============================================================

  $ . "$TESTDIR/testlib/nodes.sh"
  $ node p1 primary
  $ node m1 mirror
  $ on p1 hg replicate::create demo
  $ hg init c
  $ commit() {
  >   echo $1 > c/a
  >   hg -R c commit -qAm $1
  > }
  $ relay() {
  >   rm -f log
  >   on p1 hg replicate::relay "$@" > log 2>&1 &
  >   pid=$!
  >   echo $pid >> "$DAEMON_PIDS"
  >   until grep -qs relaying log; do sleep 0.02; done
  > }
  $ mirror() {
  >   on m1 hg replicate::catchup demo
  >   on m1 hg log -R m1/repos/demo -T '{desc}\n'
  > }

Without a relay, a push goes to the ledger itself; with one, through it

  $ commit one
  $ hg -R c push -q ssh://p1/demo
  $ relay
  $ cat log
  p1: relaying sqlite://$TESTTMP/ledger.db
  $ stat -c '%A' p1/state/ledger.sock
  srw-------
  $ commit two
  $ hg -R c push -q ssh://p1/demo
  $ mirror
  demo: at entry 3
  two
  one

There is only one

  $ on p1 hg replicate::relay
  abort: the relay of p1 is running already (pid *) (glob)
  (stop it first)
  [255]

Told to stop, it takes its socket away

  $ holder=$(cat p1/state/relay.lock)
  $ kill $holder; wait $pid
  $ ls p1/state/ledger.sock
  ls: *ledger.sock* (glob)
  [2]

Killed before it has appended, it leaves the client in doubt: the push is not
in the ledger, and can be repeated, without a relay

  $ relay --config devel.fleet-failpoint=relay.before
  $ commit three
  $ hg -R c push ssh://p1/demo > said 2>&1
  [100]
  $ grep 'confirm\|(\|abort:' said
  remote: demo, entry 4: the ledger did not confirm it: no certainty about "append to entries-4" through the relay $TESTTMP/p1/state/ledger.sock: it hung up
  remote: (the push may still arrive; pull before trying again)
  abort: push failed on remote
  $ wait $pid
  [137]
  $ mirror
  demo: at entry 3
  two
  one
  $ ls p1/state/ledger.sock
  p1/state/ledger.sock
  $ hg -R c push -q ssh://p1/demo
  $ mirror
  demo: at entry 4
  three
  two
  one

Killed after it has appended, the same is said, and the push is everywhere

  $ relay --config devel.fleet-failpoint=relay.appended
  $ commit four
  $ hg -R c push ssh://p1/demo > said 2>&1
  [100]
  $ grep 'confirm\|(\|abort:' said
  remote: demo, entry 5: the ledger did not confirm it: no certainty about "append to entries-4" through the relay $TESTTMP/p1/state/ledger.sock: it hung up
  remote: (the push may still arrive; pull before trying again)
  abort: push failed on remote
  $ wait $pid
  [137]
  $ mirror
  demo: at entry 5
  four
  three
  two
  one
  $ on p1 hg replicate::catchup demo
  demo: at entry 5
  $ hg -R c push -q ssh://p1/demo
  [1]
