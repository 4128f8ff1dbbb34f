The pushlog stays whole, or says that it is not
===============================================

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > pushlog =
  > EOF
  $ hg init server
  $ cat >> server/.hg/hgrc << EOF
  > [extensions]
  > record = $TESTDIR/testlib/recordpushes.py
  > EOF
  $ hg clone -q server client
  $ cd client
  $ change() {
  >   for each; do
  >     echo $each > $each
  >     hg commit -qAm $each -d '0 0'
  >   done
  > }
  $ push() {
  >   hg push -q ../server
  > }
  $ hg -R ../server pushlog::verify
  0 changesets in 0 pushes
  $ change 0; push
  $ change 1 2; PUSHUSER=bob PUSHTIME=1 push
  $ cd ..
  $ hg -R server pushlog::verify
  3 changesets in 2 pushes
  $ hg -R server pushlog::verify -q
  $ hg -R server pushlog::verify -T json
  [
  ]
  $ od -An -tx1 server/.hg/store/fleet-pushlog
   00 00 00 01 00 00 00 00 00 00 00 01 00 00 00 00
   00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
   00 00 00 02 00 00 00 01 00 00 00 02 00 00 00 01
   00 00 00 00 00 00 03 e8 00 00 00 00 00 00 00 00
  $ cat server/.hg/store/fleet-pushlog-users
  alice
  bob

A push that is aborted leaves nothing behind

  $ cp -r server/.hg/store before
  $ cd client
  $ change 3
  $ PUSHUSER=carol PUSHTIME=1 hg push ../server --config hooks.pretxnclose.no=false
  pushing to ../server
  searching for changes
  adding changesets
  adding manifests
  adding file changes
  transaction abort!
  rollback completed
  abort: pretxnclose.no hook exited with status 1
  [40]
  $ cat > abort.py << EOF
  > from mercurial import error
  > def reposetup(ui, repo):
  >     class late(repo.__class__):
  >         def transaction(self, *args, **opts):
  >             tr = super().transaction(*args, **opts)
  >             tr.addvalidator(b'~~~', self.last)
  >             return tr
  >         def last(self, tr):
  >             size = self.svfs.stat(b'fleet-pushlog').st_size
  >             ui.write(b'%d bytes\n' % size)
  >             ACTION
  >     repo.__class__ = late
  > EOF
  $ sed 's/ACTION/raise error.Abort(b"not today")/' abort.py > late.py
  $ PUSHUSER=carol PUSHTIME=1 hg push -q ../server --config extensions.late=late.py
  96 bytes
  transaction abort!
  rollback completed
  abort: not today
  [255]
  $ cd ..
  $ diff -r before server/.hg/store

One that is killed leaves a pushlog of which no more is read than before

  $ sed 's/ACTION/import os; os.kill(os.getpid(), 9)/' client/abort.py > late.py
  $ (cd client; PUSHUSER=carol PUSHTIME=1 hg push -q ../server \
  >    --config extensions.late=../late.py; echo $?) > out 2>&1
  $ tail -n 1 out
  137
  $ wc -c < server/.hg/store/fleet-pushlog
  96
  $ hg -R server log -r 'pushhead()' -T '{rev} {pushid} {pushuser}\n'
  0 1 alice
  2 2 bob
  $ hg -R server recover -q
  (verify step skipped, run `hg verify` to check your repository content)
  $ hg -R server pushlog::verify
  3 changesets in 2 pushes
  $ diff before server/.hg/store | grep pushlog
  [1]
  $ (cd client; PUSHUSER=carol PUSHTIME=1 push)
  $ hg -R server pushlog::verify
  4 changesets in 3 pushes

A push that does not follow the last one is refused as a whole

  $ cd client
  $ change 4
  $ PUSHTIME=0 hg push ../server 2>&1 | grep -v '^adding'
  pushing to ../server
  searching for changes
  transaction abort!
  rollback completed
  abort: push 4 of 'alice' cannot be recorded: its time, 0 ms, is before that of the last push
  (see "hg help pushlog::verify" for how to examine the pushlog)
  $ PUSHUSER= PUSHTIME=1 hg push -q ../server
  transaction abort!
  rollback completed
  abort: push 4 of '' cannot be recorded: it has no proper user
  (see "hg help pushlog::verify" for how to examine the pushlog)
  [255]
  $ hg -R ../server tip -T '{rev}\n'
  3

Each law is checked

  $ cd ../server/.hg/store
  $ cp fleet-pushlog ../whole
  $ cp fleet-pushlog-users ../users
  $ damage() {
  >   cp ../whole fleet-pushlog
  >   cp ../users fleet-pushlog-users
  >   printf "$2" | dd of=fleet-pushlog bs=1 seek=$1 conv=notrunc status=none
  >   hg pushlog::verify
  > }
  $ damage 35 '\5'
  push 2 has the id 5
  the pushlog is damaged; see "hg help pushlog"
  [1]
  $ damage 39 '\2'
  push 2 starts at revision 2, not at 1
  push 3 starts at revision 3, not at 4
  the pushlog is damaged; see "hg help pushlog"
  [1]
  $ damage 43 '\0'
  push 2 has no changesets
  push 3 starts at revision 3, not at 1
  the pushlog is damaged; see "hg help pushlog"
  [1]
  $ damage 43 '\1'
  push 3 starts at revision 3, not at 2
  the pushlog is damaged; see "hg help pushlog"
  [1]
  $ damage 79 '\3'
  push 3 is of user 3, but only 3 users can be listed by then
  the pushlog is damaged; see "hg help pushlog"
  [1]
  $ damage 47 '\2'
  push 2 is of user 2, but only 2 users can be listed by then
  the pushlog is damaged; see "hg help pushlog"
  [1]
  $ damage 55 '\377'
  push 3 is older than the one before it
  the pushlog is damaged; see "hg help pushlog"
  [1]
  $ damage 95 '\1'
  push 3 has 1 where zero is reserved
  the pushlog is damaged; see "hg help pushlog"
  [1]
  $ damage 96 'half'
  4 bytes follow the last record
  the pushlog is damaged; see "hg help pushlog"
  [1]
  $ damage 0 ''
  4 changesets in 3 pushes
  $ truncate -s 64 fleet-pushlog
  $ hg pushlog::verify
  the pushes cover 3 changesets, but the repository has 4
  user 2 is listed, but never pushed
  the pushlog is damaged; see "hg help pushlog"
  [1]
  $ hg pushlog::verify -T json
  [
   {
    "problem": "the pushes cover 3 changesets, but the repository has 4"
   },
   {
    "problem": "user 2 is listed, but never pushed"
   }
  ]
  the pushlog is damaged; see "hg help pushlog"
  [1]
  $ rm fleet-pushlog
  $ hg pushlog::verify
  the pushes cover 0 changesets, but the repository has 4
  user 0 is listed, but never pushed
  the pushlog is damaged; see "hg help pushlog"
  [1]
  $ cp ../whole fleet-pushlog
  $ for users in 'alice\nbob' 'alice\nbob\nbob\n' 'a\377\nbob\n\n' ''; do
  >   printf "$users" > fleet-pushlog-users
  >   hg pushlog::verify
  > done
  the last user has no end of line
  push 2 is of user 1, but only 1 users can be listed by then
  push 3 is of user 2, but only 1 users can be listed by then
  the pushlog is damaged; see "hg help pushlog"
  user 2 is 'bob' and should not be there
  the pushlog is damaged; see "hg help pushlog"
  user 0 is not UTF-8: b'a\xff'
  user 2 is '' and should not be there
  the pushlog is damaged; see "hg help pushlog"
  push 1 is of user 0, but only 0 users can be listed by then
  push 2 is of user 1, but only 0 users can be listed by then
  push 3 is of user 2, but only 0 users can be listed by then
  the pushlog is damaged; see "hg help pushlog"
  [1]

Onto a damaged one nothing is recorded

  $ printf x >> fleet-pushlog
  $ cd ../../../client
  $ PUSHTIME=2 hg push -q ../server
  transaction abort!
  rollback completed
  abort: the pushlog is damaged: it ends with half a record
  (run "hg pushlog::rebuild" to make it anew from the ledger)
  [255]
