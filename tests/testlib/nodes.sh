# Nodes for tests without daemons: one folder each, one ledger for all.
#
#   node NAME ROLE       make the hgrc of a node
#   on NAME hg ...       run a command as that node
#   ssh://NAME/REPO      push there (ui.ssh is set in $HGRCPATH)

node() {
  mkdir -p "$TESTTMP/$1"
  cat > "$TESTTMP/$1/hgrc" <<EOF
%include $HGRCPATH
[extensions]
replicate =
pushlog =
[access]
** = *:write
[fleet]
node = $1
role = $2
root = $TESTTMP/$1/repos
state = $TESTTMP/$1/state
ledger = sqlite://$TESTTMP/ledger.db
blobs = file://$TESTTMP/blobs
EOF
}

on() {
  HGRCPATH="$TESTTMP/$1/hgrc"
  shift
  (export HGRCPATH; "$@")
  set -- $?
  HGRCPATH="$PLAINRC"
  return "$1"
}

cat > "$TESTTMP/ssh" <<EOF
#!/bin/sh
export HGRCPATH="$TESTTMP/\$1/hgrc"
cd "$TESTTMP/\$1/repos" && exec sh -c "\$2"
EOF
chmod +x "$TESTTMP/ssh"
cat >> "$HGRCPATH" <<EOF
[ui]
ssh = $TESTTMP/ssh
EOF
PLAINRC="$HGRCPATH"
