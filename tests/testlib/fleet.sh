# A fleet in a box for a test: $DATA is its folder, on any free ports.
#
#   up ARGS...           hgfleet up --detach; the runner ends what a test leaves
#   say EXPRESSION       print it, with the object of status --json as `fleet`
#   running EXPRESSION   the same with run/parts.json as `now`
#   poll COMMAND...      wait until the command succeeds, two minutes and longer
#   as_ann               from here on, hg is that of ann, who pushes to ssh://fleet
#   left                 print the processes that are left of the fleet

command -v ssh > /dev/null && [ -n "$(PATH=$PATH:/usr/sbin command -v sshd)" ] \
  || { echo 'skipped: no OpenSSH here'; exit 80; }

DATA="$TESTTMP/fleet"

up() {
  hgfleet up --data "$DATA" --detach "$@" && running \
    'now["keeper"][0], now["supervisor"][0]' | tr ' ' '\n' >> "$DAEMON_PIDS"
}

say() {
  hgfleet status --data "$DATA" --json | "$PYTHON" -c \
    "import json, sys; fleet = json.load(sys.stdin); print($1)"
}

running() {
  "$PYTHON" -c \
    "import json, sys; now = json.load(sys.stdin); print($1)" \
    < "$DATA/run/parts.json"
}

poll() {
  _left=2400
  until "$@" > /dev/null 2>&1; do
    _left=$((_left - 1))
    [ $_left -gt 0 ] || { echo "waited too long for: $*"; return 1; }
    sleep 0.05
  done
}

as_ann() {
  cat > "$TESTTMP/client.rc" <<EOF
[ui]
ssh = ssh -F $DATA/client/ssh_config
username = ann
EOF
  HGRCPATH="$TESTTMP/client.rc"
  export HGRCPATH
}

left() {
  pgrep -af "$DATA" | grep -v run-tests || true
}
