A mirror serves what the fleet has, and nothing can be pushed to it
===================================================================

  $ . "$TESTDIR/testlib/nodes.sh"
  $ node p1 primary
  $ node m1 mirror
  $ cat >> m1/hgrc << EOF
  > push-url = ssh://hg.example.org/
  > %include $TESTDIR/../hgrc.d/web.rc
  > EOF
  $ on p1 hg replicate::create demo
  $ on m1 hg replicate::catchup demo
  demo: at entry 1

The daemon would say what may be shown; here it is said by hand

  $ cat > show.py << EOF
  > import sys
  > from hgext3rd.fleet import adapters, files
  > from hgext3rd.fleet.core.shown import Shown, encode
  > clock = adapters.system_clock()
  > until = clock.boot() + float(sys.argv[2])
  > positions = {part: int(sys.argv[1]) for part in range(8)}
  > shown = Shown('m1', clock.boot_id(), until, positions, joining=False)
  > files.replace('m1/state/shown.json', encode(shown))
  > EOF
  $ show() {
  >   "$PYTHON" "$TESTTMP/show.py" $1 ${2:-600}
  > }

The server is gunicorn

  $ serve() {
  >   HGRCPATH="$TESTTMP/m1/hgrc" HGPLAIN=1 HGENCODING=utf-8 \
  >     "$PYTHON" -m gunicorn --worker-class gthread --workers 2 --threads 4 \
  >     --keep-alive 15 --no-control-socket --daemon --pid "$TESTTMP/pid" \
  >     --error-logfile "$TESTTMP/error.log" --bind $LOCALIP:$HGPORT \
  >     hgext3rd.fleet.web:application
  >   cat > wait.py << EOF
  > import time, urllib.request
  > for _ in range(2400):
  >     try:
  >         urllib.request.urlopen('$URL/healthz')
  >         break
  >     except OSError:
  >         time.sleep(0.05)
  > EOF
  >   "$PYTHON" wait.py
  >   cat "$TESTTMP/pid" >> "$DAEMON_PIDS"
  > }
  $ URL=http://$LOCALIP:$HGPORT
  $ get() {
  >   "$PYTHON" "$TESTDIR/testlib/get.py" "$URL/$1"
  > }
  $ serve

It says why it does not answer, also to hg

  $ get readyz
  503 this mirror has not joined the fleet yet
  $ hg clone -q $URL/demo c
  abort: HTTP Error 503: this mirror has not joined the fleet yet
  [100]
  $ show 1 0
  $ hg clone -q $URL/demo c
  abort: HTTP Error 503: this mirror has lost touch with the fleet
  [100]
  $ show 1
  $ get readyz
  200 ready

A stock client clones and pulls

  $ hg clone $URL/demo c
  no changes found
  updating to branch default
  0 files updated, 0 files merged, 0 files removed, 0 files unresolved
  $ hg init work
  $ cd work
  $ for i in 1 2 3; do echo $i >> f; hg commit -qAm c$i; done
  $ hg bookmark mark
  $ hg push -q -B mark ssh://p1/demo
  $ cd ..
  $ on m1 hg replicate::catchup demo
  demo: at entry 2
  $ hg -R c pull
  pulling from http://$LOCALIP:$HGPORT/demo
  no changes found
  $ show 2
  $ hg -R c pull -q -u
  $ hg -R c log -T '{rev} {desc} {phase} {bookmarks}\n'
  2 c3 public mark
  1 c2 public 
  0 c1 public 
  $ hg -R c verify -q
  $ hg clone -q $URL/demo c2
  $ hg -R c2 verify -q
  $ hg clone -q --stream $URL/demo c3
  warning: stream clone requested but server has them disabled
  $ hg -R c3 id -r tip
  e0bd30100685 tip mark

What is here, but not shown yet, is nowhere to be seen

  $ cd work
  $ echo 4 >> f
  $ hg commit -qm c4
  $ hg push -q -B mark ssh://p1/demo
  $ TIP=$(hg id -i -r tip --debug)
  $ cd ..
  $ on m1 hg replicate::catchup demo
  demo: at entry 3
  $ hg -R c pull -q
  $ hg -R c incoming
  comparing with http://$LOCALIP:$HGPORT/demo
  searching for changes
  no changes found
  [1]
  $ hg clone -q $URL/demo c4
  $ hg -R c4 log -T '{rev} {desc} {phase} {bookmarks}\n' -r tip
  2 c3 public mark
  $ get demo/raw-rev/$TIP
  404 
  error: unknown revision '0298d1acacd80c238a874ec994753810f17c2cc3'
  $ get demo/json-bookmarks | tr -d '\n'
  200 {"node": "e0bd301006853b1905402c136b2cddf5151291c5","bookmarks": [{"bookmark": "mark","node": "e0bd301006853b1905402c136b2cddf5151291c5","date": [0.0, 0]}]} (no-eol)

Who names it waits a second for it, and gets it as soon as it is shown; here
the second is a long one, since a busy machine needs one to show anything

  $ hg -R c pull -q -r $TIP
  abort: unknown revision '*' (glob)
  [255]
  $ stop() {
  >   pid=$(cat "$TESTTMP/pid")
  >   kill $pid
  >   while kill -0 $pid 2> /dev/null; do sleep 0.05; done
  > }
  $ stop
  $ cat > patient.py << EOF
  > from hgext3rd.fleet import web
  > web.WAIT = 600
  > EOF
  $ printf '[extensions]\npatient = %s\n' "$TESTTMP/patient.py" >> m1/hgrc
  $ serve
  $ (sleep 0.3; show 3) &
  $ hg -R c pull -q -r $TIP
  $ wait
  $ hg -R c log -T '{rev} {desc} {phase} {bookmarks}\n' -r tip
  3 c4 public mark

Pushes are refused, saying where to go

  $ cd c
  $ hg up -q tip
  $ echo 5 >> f
  $ hg commit -qm c5
  $ hg push
  pushing to http://$LOCALIP:$HGPORT/demo
  searching for changes
  abort: remote error:
  this is a read-only mirror; push over SSH to ssh://hg.example.org/demo
  [100]
  $ hg push --config devel.legacy.exchange=bundle1
  pushing to http://$LOCALIP:$HGPORT/demo
  searching for changes
  abort: remote error:
  this is a read-only mirror; push over SSH to ssh://hg.example.org/demo
  [100]
  $ hg bookmark -r 0 mine
  $ hg push -B mine -r 0
  pushing to http://$LOCALIP:$HGPORT/demo
  searching for changes
  no changes found
  abort: remote error:
  this is a read-only mirror; push over SSH to ssh://hg.example.org/demo
  [100]
  $ cd ..

New repositories and deleted ones are noticed

  $ get index.json
  200 {"repositories": [{"name": "demo", "url": "/demo"}]}
  $ hg clone -q $URL/users/ann/thing t
  abort: HTTP Error 404: Not Found
  [100]
  $ on p1 hg replicate::create users/ann/thing
  $ on m1 hg replicate::catchup users/ann/thing
  users/ann/thing: at entry 1
  $ show 4
  $ hg clone -q $URL/users/ann/thing t
  $ get index.json
  200 {"repositories": [{"name": "demo", "url": "/demo"}, {"name": "users/ann/thing", "url": "/users/ann/thing"}]}
  $ on p1 hg replicate::delete users/ann/thing
  $ on m1 hg replicate::catchup users/ann/thing
  users/ann/thing: at entry 2
  $ show 5
  $ get users/ann/thing?cmd=heads
  404 there is no such repository here
  $ get index.json
  200 {"repositories": [{"name": "demo", "url": "/demo"}]}

Nothing went wrong, and it stops when told

  $ stop
  $ grep -v ' \[INFO\] ' error.log
  [1]
