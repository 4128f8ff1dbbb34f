Changesets are found by their push, and shown with it
=====================================================

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > pushlog =
  > [experimental]
  > evolution = all
  > [phases]
  > publish = no
  > EOF
  $ hg init server
  $ cat >> server/.hg/hgrc << EOF
  > [extensions]
  > record = $TESTDIR/testlib/recordpushes.py
  > EOF
  $ hg clone -q server client
  $ cd client
  $ push() {
  >   PUSHUSER=$1 PUSHTIME=$2 hg push -q -f ../server
  > }
  $ change() {
  >   for each; do
  >     echo $each > $each
  >     hg commit -qAm $each -d '0 0'
  >   done
  > }
  $ change 0; push alice@example.com 86400.25
  $ change 1 2; push bob 172800
  $ hg update -q 0
  $ change 3 4 5; push Alice.B 172800.5
  $ change 6; push bob 259200
  $ cd ../server
  $ found() {
  >   set -f -- $(hg log -T '{rev} ' -r "$1" 2>&1)
  >   echo "($*)"
  > }

The keywords

  $ hg log -T '{rev} {pushid} {pushuser} {pushdate} {pushdate|isodate}\n'
  6 4 bob 259200.00 1970-01-04 00:00 +0000
  5 3 Alice.B 172800.00 1970-01-03 00:00 +0000
  4 3 Alice.B 172800.00 1970-01-03 00:00 +0000
  3 3 Alice.B 172800.00 1970-01-03 00:00 +0000
  2 2 bob 172800.00 1970-01-03 00:00 +0000
  1 2 bob 172800.00 1970-01-03 00:00 +0000
  0 1 alice@example.com 86400.00 1970-01-02 00:00 +0000
  $ hg log -r 2+6 -T '{pushbasenode|short} {node|short} {pushheadnode|short}\n'
  e8342c9a2ed1 f6ed99a58333 f6ed99a58333
  283a8f0e0caa 283a8f0e0caa 283a8f0e0caa
  $ hg log -r 4 -T '{dict(pushid, pushuser, pushdate)|json}\n'
  {"pushdate": [172800, 0], "pushid": 3, "pushuser": "Alice.B"}

pushhead(): the last one of each push, also when there are few to choose from

  $ found 'pushhead()'
  (0 2 5 6)
  $ found 'reverse(pushhead())'
  (6 5 2 0)
  $ found 'last(pushhead(), 2)'
  (5 6)
  $ found 'pushhead() and (5+1)'
  (5)
  $ found '(5+4+2) and pushhead()'
  (5 2)
  $ found 'pushhead() and 1:5'
  (2 5)
  $ found 'all() - pushhead()'
  (1 3 4)
  $ found 'pushhead(1)'
  (hg: parse error: pushhead takes no arguments)

pushid()

  $ found 'pushid(3)'
  (3 4 5)
  $ found 'reverse(pushid(3))'
  (5 4 3)
  $ found '(5+1) and pushid(3)'
  (5)
  $ found 'pushid(0)'
  ()
  $ found 'pushid(-1)'
  ()
  $ found 'pushid(5)'
  ()
  $ found 'pushid(99999999999999999999999)'
  ()
  $ found 'pushid(x)'
  (hg: parse error: pushid expects a number)
  $ found 'pushid()'
  (hg: parse error: pushid requires one argument)

pushdate()

  $ export TZ=UTC
  $ found 'pushdate("1970-01-02")'
  (0)
  $ found 'pushdate("1970-01-03")'
  (1 2 3 4 5)
  $ found 'pushdate(">1970-01-03")'
  (1 2 3 4 5 6)
  $ found 'pushdate("<1970-01-03 00:00:00")'
  (0 1 2 3 4 5)
  $ found 'pushdate("1970-01-02 to 1970-01-03")'
  (0 1 2 3 4 5)
  $ found 'pushdate("1970-01-03 00:00 to 1971")'
  (1 2 3 4 5 6)
  $ found 'pushdate("1972 to 1971")'
  ()
  $ found 'pushdate("-30")'
  ()
  $ found 'pushdate(1970)'
  (0 1 2 3 4 5 6)
  $ found 'pushdate(today)'
  ()
  $ found 'pushdate("")'
  (abort: invalid day spec, use '>DATE')
  $ found 'pushdate("someday")'
  (hg: parse error: invalid date: 'someday')
  $ found 'pushdate("> to")'
  (hg: parse error: invalid date: 'to')
  $ found 'pushdate()'
  (hg: parse error: pushdate requires one argument)

pushuser()

  $ found 'pushuser(alice)'
  (0 3 4 5)
  $ found 'pushuser(ALICE@)'
  (0)
  $ found 'pushuser("re:^a.*m$")'
  (0)
  $ found 'pushuser("re:^b")'
  (1 2 6)
  $ found 'pushuser("literal:bob")'
  (1 2 6)
  $ found 'pushuser("literal:re:")'
  ()
  $ found 'pushuser(nobody)'
  ()
  $ found '(4+1) and pushuser(bob)'
  (1)
  $ found '1:4 and pushuser(bob)'
  (1 2)
  $ found 'pushuser("re:(")'
  (hg: parse error: invalid regular expression: missing ), unterminated subpattern at position 0)

pushrev()

  $ found 'pushrev(1)'
  (1 2)
  $ found 'pushrev(1+4)'
  (1 2 3 4 5)
  $ found 'pushrev(none())'
  ()
  $ found 'pushrev(all()) and 3:'
  (3 4 5 6)
  $ found 'pushrev(null)'
  ()
  $ found 'pushrev(wdir())'
  ()
  $ found 'pushrev(pushid(2)) and pushhead()'
  (2)

Hidden changesets are not found

  $ hg debugobsolete $(hg log -r 6 -T '{node}')
  1 new obsolescence markers
  obsoleted 1 changesets
  $ found 'pushid(4)'
  ()
  $ found 'pushuser(bob)'
  (1 2)
  $ found 'pushhead()'
  (0 2 5)
  $ found 'pushdate(1970)'
  (0 1 2 3 4 5)
  $ found 'pushrev(2)'
  (1 2)
  $ hg log --hidden -r 'pushhead() and 6' -T '{rev} {pushid}\n'
  6 4

In a repository without a pushlog there is nothing to find

  $ cd ../client
  $ found 'pushhead() or pushid(1) or pushdate(">1970") or pushrev(all())'
  ()
  $ found 'pushuser("re:.")'
  ()
  $ hg log -r 0 -T '[{pushid}{pushuser}{pushdate}{pushbasenode}]\n'
  []
  $ hg log -r 'wdir()' -T '[{pushid}{pushuser}]\n'
  []
