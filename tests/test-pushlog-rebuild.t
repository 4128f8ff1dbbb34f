The pushlog can be made anew from the ledger, on every node
===========================================================

  $ . "$TESTDIR/testlib/nodes.sh"
  $ node p1 primary
  $ node m1 mirror
  $ on p1 hg replicate::create demo
  $ hg init c
  $ cd c
  $ change() {
  >   for each; do
  >     echo $each > $each
  >     hg commit -qAm $each -d '0 0'
  >   done
  > }
  $ push() {
  >   printf '[fleet]\nuser = %s\n' $1 >> "$TESTTMP/p1/hgrc"
  >   shift
  >   hg push -q ssh://p1/demo "$@"
  > }
  $ change 0; push alice
  $ change 1 2; push bob
  $ hg bookmark mark; push bob -B mark
  [1]
  $ change 3; push alice
  $ cd ..
  $ on m1 hg replicate::catchup demo
  demo: at entry 5

The same everywhere, and as the ledger has it

  $ cmp p1/repos/demo/.hg/store/fleet-pushlog m1/repos/demo/.hg/store/fleet-pushlog
  $ on p1 hg -R p1/repos/demo log -T '{rev} {pushid} {pushuser}\n'
  3 3 alice
  2 2 bob
  1 2 bob
  0 1 alice
  $ on p1 hg -R p1/repos/demo pushlog::rebuild --check
  3 pushes in the ledger
  the pushlog was the same already
  $ on m1 hg -R m1/repos/demo pushlog::rebuild
  3 pushes in the ledger
  the pushlog was the same already
  $ on m1 hg -R m1/repos/demo pushlog::rebuild -T json
  [
   {
    "pushes": 3,
    "replaced": false,
    "same": true
   }
  ]
  $ on m1 hg -R m1/repos/demo pushlog::verify
  4 changesets in 3 pushes

A pushlog that was damaged, in any way, is the same again

  $ cd m1/repos/demo/.hg/store
  $ rebuilt() {
  >   on m1 hg pushlog::rebuild --check
  >   on m1 hg pushlog::rebuild
  >   for each in fleet-pushlog fleet-pushlog-users; do
  >     cmp $TESTTMP/p1/repos/demo/.hg/store/$each $each
  >   done
  > }
  $ rm fleet-pushlog fleet-pushlog-users
  $ rebuilt
  3 pushes in the ledger
  the pushlog is different
  3 pushes in the ledger
  the pushlog is different; it was replaced
  $ truncate -s 40 fleet-pushlog
  $ rebuilt
  3 pushes in the ledger
  the pushlog is different
  3 pushes in the ledger
  the pushlog is different; it was replaced
  $ echo mallory > fleet-pushlog-users
  $ on m1 hg pushlog::rebuild -T json
  [
   {
    "pushes": 3,
    "replaced": true,
    "same": false
   }
  ]
  $ cmp $TESTTMP/p1/repos/demo/.hg/store/fleet-pushlog-users fleet-pushlog-users
  $ cd $TESTTMP

A node that is behind the ledger has the pushes that it has applied

  $ cd c
  $ change 4; push carol
  $ cd ..
  $ on m1 hg -R m1/repos/demo pushlog::rebuild
  3 pushes in the ledger
  the pushlog was the same already
  $ on m1 hg replicate::catchup demo
  demo: at entry 6
  $ on m1 hg -R m1/repos/demo pushlog::rebuild
  4 pushes in the ledger
  the pushlog was the same already

A repository that is made again begins anew

  $ on p1 hg replicate::delete demo
  $ on p1 hg replicate::create demo
  $ (cd c; push dave)
  $ on p1 hg -R p1/repos/demo log -T '{rev} {pushid} {pushuser}\n'
  4 1 dave
  3 1 dave
  2 1 dave
  1 1 dave
  0 1 dave
  $ on p1 hg -R p1/repos/demo pushlog::rebuild
  1 pushes in the ledger
  the pushlog was the same already
  $ on p1 hg -R p1/repos/demo pushlog::verify
  5 changesets in 1 pushes
  $ on m1 hg replicate::catchup demo
  demo: at entry 9
  $ on m1 hg -R m1/repos/demo pushlog::rebuild
  1 pushes in the ledger
  the pushlog was the same already

What cannot be rebuilt is left alone

  $ on m1 hg -R c pushlog::rebuild
  abort: $TESTTMP/c is not a repository of the fleet
  (those of this node are below $TESTTMP/m1/repos)
  [255]
  $ hg init m1/repos/other
  $ on m1 hg -R m1/repos/other pushlog::rebuild
  abort: other does not follow the ledger
  (only a repository that the fleet has made can be rebuilt)
  [255]
  $ mv ledger.db away
  $ on m1 hg -R m1/repos/demo pushlog::rebuild
  abort: demo: this node has applied entry 9, but in the ledger (entries-4) only entries up to 0 can be read
  [255]
