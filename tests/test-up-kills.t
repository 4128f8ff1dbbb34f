Whatever is killed, the fleet comes back or is gone
===================================================

  $ . "$TESTDIR/testlib/fleet.sh"
  $ up --ssh-port 0 --http-port 0 --mirrors 1 --primaries 2 > out
  $ grep Host\ fleet "$DATA/client/ssh_config"
  Host fleet
  Host fleet2

A part that is killed is started again, and that is counted

  $ kill -9 $(running '*[one["process"][0] for one in now["parts"]]')
  $ again() {
  >     [ "$(say '*[one["restarts"] for one in fleet["nodes"]]')" = '3 3 2' ] \
  >         && hgfleet status --check --data "$DATA" > /dev/null
  > }
  $ poll again
  $ say '*[n["exit"] for one in fleet["nodes"] for n in one["parts"]]'
  -9 -9 -9 -9 -9 -9 -9 -9
  $ for each in fleet fleet2; do
  >     hg identify --ssh "ssh -F $DATA/client/ssh_config" ssh://$each/demo
  > done
  000000000000
  000000000000

A session that is open does not keep the fleet from stopping

  $ ssh -F "$DATA/client/ssh_config" fleet 'hg -R demo serve --stdio' \
  >     < /dev/zero > /dev/null 2>&1 &
  $ session=$!
  $ hgfleet down --data "$DATA"
  the fleet in $TESTTMP/fleet stopped
  $ left
  $ wait $session
  [255]

With the supervisor killed, its keeper ends what it leaves

  $ up > out
  $ kill -9 $(running 'now["supervisor"][0]')
  $ gone() { [ -z "$(left)" ]; }
  $ poll gone
  $ hgfleet status --check --data "$DATA" | tail -n 1
  attention: the fleet is not up
  $ hgfleet down --data "$DATA"
  the fleet in $TESTTMP/fleet was not up

With the keeper killed, the supervisor ends everything

  $ up > out
  $ kill -9 $(running 'now["keeper"][0]')
  $ poll gone

With both of them killed, nothing is left after the next down

  $ up > out
  $ kill -9 $(running 'now["keeper"][0], now["supervisor"][0]')
  $ hgfleet down --data "$DATA" > /dev/null
  $ left

In the foreground, Ctrl-C stops it

  $ "$PYTHON" - "$DATA" <<EOF
  > import signal, subprocess, sys
  > argv = ['hgfleet', 'up', '--data', sys.argv[1]]
  > with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as one:
  >     for line in one.stdout:
  >         if line.startswith('ready:'):
  >             one.send_signal(signal.SIGINT)
  >     print(line, one.wait())
  > EOF
  stopped
   0
  $ left
