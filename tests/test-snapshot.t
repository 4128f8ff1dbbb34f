Snapshots of the repositories of a node
=======================================

  $ . "$TESTDIR/testlib/nodes.sh"
  $ node p1 primary
  $ node m1 mirror
  $ on p1 hg replicate::create demo
  $ on p1 hg replicate::create tools/build
  $ on p1 hg replicate::create gone
  $ on p1 hg replicate::delete gone
  $ hg clone -q ssh://p1/demo wc
  $ cd wc
  $ "$PYTHON" -c 'import os, sys; sys.stdout.buffer.write(os.urandom(1 << 21))' > file
  $ hg commit -qAm 'one large file' -u ann
  $ hg bookmark main
  $ hg push -q -B main
  $ cd ..

All of them are made when none is named

  $ on p1 hg replicate::snapshot
  demo: entry 2, * bytes (glob)
  gone: entry 2, 0 bytes
  tools/build: entry 1, * bytes (glob)
  $ on p1 hg replicate::snapshot -T json demo gone
  [
   {
    "blob": "*", (glob)
    "digest": "*", (glob)
    "fresh": false,
    "listed": true,
    "name": "demo",
    "position": *, (glob)
    "removed": 0,
    "seq": 2,
    "size": *, (glob)
    "time": * (glob)
   },
   {
    "blob": null,
    "digest": "",
    "fresh": false,
    "listed": true,
    "name": "gone",
    "position": *, (glob)
    "removed": 0,
    "seq": 2,
    "size": 0,
    "time": * (glob)
   }
  ]
  $ on p1 hg replicate::snapshot nowhere demo ../etc
  there is no repository nowhere
  demo: entry 2, as before
  '../etc' is not a repository name
  (use letters, digits, ".", "_", "-" and "+", starting each part with a letter or digit)
  [1]

The last two are kept

  $ blobs() { find "$TESTTMP/blobs" -type f | wc -l; }
  $ blobs
  3
  $ for each in 1 2 3; do
  >     echo $each > wc/small
  >     hg -R wc commit -qAm "change $each" -u ann
  >     hg -R wc push -q
  >     on p1 hg replicate::snapshot demo
  > done
  demo: entry 3, * bytes (glob)
  demo: entry 4, * bytes (glob)
  demo: entry 5, * bytes (glob)
  $ blobs
  4

A node that has nothing starts from them, without a primary

  $ mv p1 away
  $ on m1 hg replicate::bootstrap --debug --config progress.debug=yes > said
  $ grep -e '^repositories' -e entry said
  repositories: demo 1/3 (33.33%)
  demo: started from a snapshot of entry 5
  demo: at entry 5
  repositories: gone 2/3 (66.67%)
  gone: at entry 2
  repositories: tools/build 3/3 (100.00%)
  tools/build: at entry 1
  $ grep -c '^demo: [0-9]*/[0-9]* bytes' said > /dev/null
  $ mv away p1
  $ on p1 hg -R p1/repos/demo replicate::digest > there
  $ on m1 hg -R m1/repos/demo replicate::digest > here
  $ cmp here there
  $ on m1 hg -R m1/repos/demo verify -q
  $ on m1 hg -R m1/repos/demo pushlog::verify
  4 changesets in 4 pushes
  $ on m1 hg -R m1/repos/demo bookmarks
     main                      3:* (glob)

So does one whose copy is made anew

  $ on m1 hg replicate::rebuild demo
  demo: started from a snapshot of entry 5
  demo: rebuilt, at entry 5

A damaged snapshot is passed over for the older one, and a missing one, too

  $ rm -r m1/repos m1/state
  $ newest() {
  >     on p1 hg replicate::snapshot -T json demo | "$PYTHON" -c \
  >         'import json, sys; name = json.load(sys.stdin)[0]["blob"]; print(name[:2] + "/" + name[2:])'
  > }
  $ printf X | dd of="blobs/$(newest)" bs=1 seek=100000 conv=notrunc 2> /dev/null
  $ on m1 hg replicate::bootstrap demo
  demo: the snapshot of entry 5 cannot be used: *; trying what is older (glob)
  demo: started from a snapshot of entry 4
  demo: at entry 5
  $ rm -r m1/repos m1/state "blobs/$(newest)"
  $ find blobs -size +2000k -delete
  $ on m1 hg replicate::bootstrap demo
  demo: the snapshot of entry 5 cannot be used: *; trying what is older (glob)
  demo: the snapshot of entry 4 cannot be used: *; trying what is older (glob)
  demo: entry 2 (offset *) cannot be applied: blob * is not in * (glob)
  (copy it there from another store, or restore a backup)
  [1]
