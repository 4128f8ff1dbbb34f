Who pushed what is served as JSON
=================================

  $ cat >> $HGRCPATH << EOF
  > [extensions]
  > pushlog =
  > blackbox =
  > [experimental]
  > evolution = all
  > [phases]
  > publish = no
  > [blackbox]
  > track = pushlog
  > [web]
  > encoding = utf-8
  > EOF
  $ hg init server
  $ cat >> server/.hg/hgrc << EOF
  > [extensions]
  > record = $TESTDIR/testlib/recordpushes.py
  > EOF
  $ hg clone -q server client
  $ cd client
  $ change() {
  >   echo "$1" > "$1"
  >   hg commit -qAm "$1" -d '0 0' -u "${2:-ann}"
  > }
  $ push() {
  >   PUSHUSER=$1 PUSHTIME=$2 hg push -q --new-branch -f ../server
  > }
  $ change a
  $ push alice 1000.9
  $ change b; change c
  $ push bob 2000
  $ hg branch -q stable
  $ change d
  $ hg update -q default
  $ change e
  $ push alice 2000.5
  $ hg update -q 0
  $ change f; change g
  $ push carol 3000
  $ cd ..

  $ hg serve -R server -d -p $HGPORT --pid-file pid -A access -E errors
  $ cat pid >> $DAEMON_PIDS
  $ get() {
  >   "$PYTHON" "$TESTDIR/testlib/pages.py" "http://localhost:$HGPORT/$1"
  > }
  $ ids() {
  >   get "json-pushes?$1" | "$PYTHON" -c 'if True:
  >     import json, sys
  >     status, kind = sys.stdin.readline().split()
  >     body = json.load(sys.stdin)
  >     print(status, *sorted(body, key=int) if status == "200" else body.values())'
  > }

Version 1, which is the default, and version 2

  $ get 'json-pushes?endID=2'
  200 application/json
  {
   "1": {
    "changesets": [
     "a7f998bc52627daef39a9e30e43a11abd8ba5110"
    ],
    "date": 1000,
    "user": "alice"
   },
   "2": {
    "changesets": [
     "c771366a0ef01545c61156c2307a68c20505a799",
     "25203b130922f4ec8c242413dc1138a0f7aec43d"
    ],
    "date": 2000,
    "user": "bob"
   }
  }
  $ get 'json-pushes?version=2&startID=2&endID=3'
  200 application/json
  {
   "lastpushid": 4,
   "pushes": {
    "3": {
     "changesets": [
      "d8056f756cb9ce067e0e1994d19694468f4413fc",
      "4fedf84acbe4b2eafc26096c768362486aec3117"
     ],
     "date": 2000,
     "user": "alice"
    }
   }
  }
  $ get 'json-pushes?version=2&full=1&startID=1&endID=2'
  200 application/json
  {
   "lastpushid": 4,
   "pushes": {
    "2": {
     "changesets": [
      {
       "author": "ann",
       "branch": "default",
       "desc": "b",
       "files": [
        "b"
       ],
       "node": "c771366a0ef01545c61156c2307a68c20505a799",
       "parents": [
        "a7f998bc52627daef39a9e30e43a11abd8ba5110"
       ],
       "tags": []
      },
      {
       "author": "ann",
       "branch": "default",
       "desc": "c",
       "files": [
        "c"
       ],
       "node": "25203b130922f4ec8c242413dc1138a0f7aec43d",
       "parents": [
        "c771366a0ef01545c61156c2307a68c20505a799"
       ],
       "tags": []
      }
     ],
     "date": 2000,
     "user": "bob"
    }
   }
  }
  $ get 'pushes?tipsonly=1&startID=1'
  200 application/json
  {
   "2": {
    "changesets": [
     "25203b130922f4ec8c242413dc1138a0f7aec43d"
    ],
    "date": 2000,
    "user": "bob"
   },
   "3": {
    "changesets": [
     "4fedf84acbe4b2eafc26096c768362486aec3117"
    ],
    "date": 2000,
    "user": "alice"
   },
   "4": {
    "changesets": [
     "71fade51ba768564080a31e8d3241e2ff88aa990"
    ],
    "date": 3000,
    "user": "carol"
   }
  }

Where it starts and ends

  $ ids ''
  200 1 2 3 4
  $ ids 'startID=0'
  200 1 2 3 4
  $ ids 'startID=2'
  200 3 4
  $ ids 'startID=4'
  200
  $ ids 'startID=1&endID=3'
  200 2 3
  $ ids 'endID=1'
  200 1
  $ ids 'startID=99'
  200
  $ ids "fromchange=$(hg -R client id -r 'desc(b)' --id)"
  200 3 4
  $ ids "tochange=$(hg -R client log -r 'desc(b)' -T '{node}')"
  200 1 2
  $ ids 'fromchange=0&tochange=stable'
  200 2 3
  $ ids 'startdate=1000'
  200 2 3 4
  $ ids 'startdate=999&enddate=2000'
  200 1
  $ ids 'startdate=1970-01-01%2000:33:20%20UTC&enddate=now'
  200 4
  $ ids 'startdate=2000'
  200 4
  $ ids 'startdate=3%20weeks%20ago'
  200

Whose, which, and where

  $ ids 'user=alice'
  200 1 3
  $ ids 'user=alice&user=carol&startID=1'
  200 3 4
  $ ids 'user=nobody'
  200
  $ ids 'changeset=1'
  200 2
  $ ids 'changeset=1&changeset=tip&changeset=2'
  200 2 4
  $ ids 'changeset=1&user=alice'
  200
  $ get 'json-pushes?branch=stable'
  200 application/json
  {
   "3": {
    "changesets": [
     "d8056f756cb9ce067e0e1994d19694468f4413fc"
    ],
    "date": 2000,
    "user": "alice"
   }
  }

Pages have ten pushes

  $ cd client
  $ for i in $(seq 12); do change p$i; push dave 4000; done
  $ cd ..
  $ ids ''
  200 7 8 9 10 11 12 13 14 15 16
  $ get 'json-pushes/2?version=2&tipsonly=1' | grep -c '": {'
  7
  $ get 'json-pushes/3'
  200 application/json
  {}
  $ ids 'startID=0' | wc -w
  17

What cannot be answered

  $ ids 'version=3'
  400 version is '3'; use 1 or 2
  $ ids 'version=x'
  400 version is 'x'; use 1 or 2
  $ ids 'startID=x'
  400 startID is 'x'; use a number
  $ ids 'endID='
  400 endID is ''; use a number
  $ ids 'startdate=someday'
  400 startdate is 'someday'; use seconds since 1970, or YYYY-MM-DD HH:MM:SS
  $ ids 'startdate='
  400 startdate is empty
  $ ids 'changeset='
  400 changeset is empty
  $ ids 'fromchange=nowhere'
  404 unknown revision 'nowhere'
  $ ids 'tochange=ffffffffffffffffffffffffffffffffffffffff'
  404 unknown revision 'ffffffffffffffffffffffffffffffffffffffff'
  $ ids 'changeset=123456789012345678901234567890'
  404 unknown revision '123456789012345678901234567890'
  $ ids 'branch=nowhere'
  404 unknown branch 'nowhere'
  $ get 'json-pushes/x'
  400 application/json
  {
   "error": "the page is 'x'; use a number"
  }
  $ get 'json-pushes/0'
  400 application/json
  {
   "error": "the page is 0; the first one is 1"
  }

Obsolete changesets are still there, but apart; secret ones are not

  $ cd client
  $ hg update -q 'desc(p12)'
  $ HGENCODING=utf-8 hg commit -q --amend -m 'ĝ' -u 'zoë'
  $ push zoë 5000
  $ hg -R ../server phase --force --secret 'desc(d)'
  $ cd ..
  $ get 'json-pushes?startID=2&endID=3'
  200 application/json
  {
   "3": {
    "changesets": [
     "4fedf84acbe4b2eafc26096c768362486aec3117"
    ],
    "date": 2000,
    "user": "alice"
   }
  }
  $ get 'json-pushes?full&startID=15'
  200 application/json
  {
   "16": {
    "changesets": [],
    "date": 4000,
    "obsoletechangesets": [
     {
      "author": "ann",
      "branch": "default",
      "desc": "p12",
      "files": [
       "p12"
      ],
      "node": "c271bad87c5e38c0c07e689eb813faf12749f7c8",
      "parents": [
       "78908f4e10a3c2c547cf9c0a54f7ac8ae9c554f7"
      ],
      "tags": []
     }
    ],
    "user": "dave"
   },
   "17": {
    "changesets": [
     {
      "author": "zo\u00eb",
      "branch": "default",
      "desc": "\u011d",
      "files": [
       "p12"
      ],
      "node": "0992fdb7ed51c6662dd587a15cba9122295b59d8",
      "parents": [
       "78908f4e10a3c2c547cf9c0a54f7ac8ae9c554f7"
      ],
      "precursors": [
       "c271bad87c5e38c0c07e689eb813faf12749f7c8"
      ],
      "tags": [
       "tip"
      ]
     }
    ],
    "date": 5000,
    "user": "zo\u00eb"
   }
  }
  $ hg -R server log --hidden -r 'obsolete()' -T '{node}' > obsolete
  $ ids "changeset=$(cat obsolete)"
  200 16
  $ ids "fromchange=$(cat obsolete)"
  200 17
  $ ids "changeset=$(hg -R server log -r 'secret()' -T '{node}')"
  404 unknown revision 'd8056f756cb9ce067e0e1994d19694468f4413fc'
  $ ids 'branch=stable'
  404 unknown branch 'stable'

Nothing of it is cached, and a HEAD has no body

  $ "$PYTHON" -c 'if True:
  >   import sys
  >   from urllib.request import Request, urlopen
  >   answer = urlopen(Request(sys.argv[1], method="HEAD"))
  >   print(answer.headers["Cache-Control"], answer.headers["ETag"])
  >   print(answer.read())' "http://localhost:$HGPORT/json-pushes"
  no-cache None
  b''

The wire protocol has a command for it, over HTTP and SSH

  $ wire() {
  >   get "?cmd=pushlog&firstpush=$1"
  >   printf 'pushlog\nfirstpush %d\n%s' ${#1} "$1" \
  >     | hg -R server serve --stdio | tail -n +2 | head -c 4096
  >   echo
  > }
  $ wire 16
  200 application/mercurial-0.1
  1
  16 dave 4000 
  17 zo\xc3\xab 5000 0992fdb7ed51c6662dd587a15cba9122295b59d8 (esc)
  1
  16 dave 4000 
  17 zo\xc3\xab 5000 0992fdb7ed51c6662dd587a15cba9122295b59d8 (esc)
  $ wire 1 | cut -c -60 | head -n 4
  200 application/mercurial-0.1
  1
  1 alice 1000 a7f998bc52627daef39a9e30e43a11abd8ba5110
  2 bob 2000 c771366a0ef01545c61156c2307a68c20505a799 25203b13
  $ wire 18
  200 application/mercurial-0.1
  1
  1
  $ wire x
  200 application/mercurial-0.1
  0
  firstpush is 'x'; use a number
  0
  firstpush is 'x'; use a number
  $ get '?cmd=capabilities' | tr ' ' '\n' | grep pushlog
  pushlog

A damaged pushlog is an error, of which the log tells more

  $ printf 'x' >> server/.hg/store/fleet-pushlog-users
  $ truncate -s 16 server/.hg/store/fleet-pushlog-users
  $ ids 'startID=0'
  500 the pushlog is damaged: the record of push 5 cannot be right
  $ cat errors
  $ hg -R server blackbox | grep pushlog | sed 's/.*> //'
  $TESTTMP/server: the pushlog is damaged: the record of push 5 cannot be right
