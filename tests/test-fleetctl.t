Repositories and users of a running fleet
=========================================

  $ . "$TESTDIR/testlib/fleet.sh"
  $ up --ssh-port 0 --http-port 0 > out
  $ urls=$(say '*[one["url"] for one in fleet["nodes"][1:]]')

Repositories are made and removed on all nodes before the command returns

  $ hgfleet repo create lib/base --data "$DATA"
  $ hgfleet repo create lib/base --data "$DATA"
  abort: lib/base exists already
  [255]
  $ hgfleet repo create ../x --data "$DATA"
  abort: '../x' is not a repository name
  (use letters, digits, ".", "_", "-" and "+", starting each part with a letter or digit)
  [255]
  $ for each in $urls; do
  >     hg identify --id ${each}lib/base
  > done
  000000000000
  000000000000
  $ hgfleet repo list --data "$DATA"
  demo
  lib/base
  $ hgfleet repo list --data "$DATA" --json | tr -d ' \n'; echo
  {"repos":[{"name":"demo"},{"name":"lib/base"}]}
  $ hgfleet repo delete lib/base --data "$DATA"
  $ hgfleet repo list --data "$DATA"
  demo

Others are let in, with their own keys; what they may do, their groups say

  $ ssh-keygen -q -t ed25519 -N '' -C ann -f annkey
  $ ssh-keygen -q -t ed25519 -N '' -C bob -f bobkey
  $ hgfleet user add ann --data "$DATA" --key annkey.pub --group developers
  added ann, in developers
  $ hgfleet user add bob --data "$DATA" --key bobkey.pub
  added bob, in no group
  $ hgfleet user add ann --data "$DATA" --key annkey.pub
  abort: $TESTTMP/fleet/users.toml: there is already a user ann
  (edit that file to change keys and groups)
  [255]
  $ hgfleet user add eve --data "$DATA" --key annkey.pub
  abort: eve cannot have a key that ann has
  (a key is how somebody is known: each needs one of their own)
  [255]
  $ hgfleet user add eve --data "$DATA" --key annkey
  abort: annkey is a private key
  (name the public one: annkey.pub)
  [255]
  $ hgfleet user add eve --data "$DATA" --key missing.pub
  abort: cannot read the key missing.pub: No such file or directory
  [255]
  $ ssh-keygen -q -t rsa -b 2048 -N '' -C eve -f oldkey
  $ hgfleet user add eve --data "$DATA" --key oldkey.pub
  abort: RSA keys of 2048 bits are not accepted here
  (use 3072 bits or more, or Ed25519)
  [255]
  $ sed -n 's/.*"event": "user".*"what": \("[^"]*"\).*/\1/p' \
  >     "$DATA/nodes/hg1/state/audit.log"
  "added ann, in developers"
  "added bob, in no group"
  $ for each in ann bob; do
  >     sed "s,client/key,../${each}key," "$DATA/client/ssh_config" > as-$each
  > done
  $ hg clone -q --ssh "ssh -F as-bob" ssh://fleet/demo
  $ date > demo/date.txt
  $ hg -R demo commit -qA -u ann -m other
  $ hg -R demo push --ssh "ssh -F as-bob" ssh://fleet/demo 2>&1 | grep remote:
  remote: hgfleet: bob may not write to demo
  remote: (ask an administrator of this fleet for write access)
  $ hg -R demo push -q --ssh "ssh -F as-ann" ssh://fleet/demo
  $ say 'fleet["repos"][0]["last_user"], fleet["repos"][0]["seq"]'
  ann 2

Which line of the rules says so can be asked

  $ explain() { hgfleet access explain --data "$DATA" "$@"; }
  $ explain ann demo
  ann, in developers, may read, write demo: [access] ** = admins:admin, developers:write, *:read
  $ explain bob demo
  bob, in no group, may read demo: [access] ** = admins:admin, developers:write, *:read
  $ explain eve demo
  eve is not known to the directory, and cannot log in
  [1]
  $ explain eve ../demo
  abort: '../demo' is not a repository name
  (use letters, digits, ".", "_", "-" and "+", starting each part with a letter or digit)
  [255]

A mirror shows what everybody may read, and that changes with the rules

  $ mirror() {
  >   say 'next(n["url"] for n in fleet["nodes"] if n["role"] == "mirror")'
  > }
  $ get() { "$PYTHON" "$TESTDIR/testlib/get.py" "$(mirror)$1?cmd=heads"; }
  $ get demo | cut -c 1-3
  200
  $ (echo '[access]'; echo 'demo = admins:admin, @ann:write') > "$DATA/access.rc"
  $ hidden() {
  >   for each in $("$PYTHON" -c 'print(*range(1200))'); do
  >     get demo | grep -q ^404 && return 0; sleep 0.1
  >   done; echo 'it is still shown'
  > }
  $ hidden
  $ get demo
  404 there is no such repository here
  $ get nothing
  404 there is no such repository here
  $ explain --json bob demo
  {
    "user": "bob",
    "known": true,
    "enabled": true,
    "groups": [],
    "repo": "demo",
    "verbs": [],
    "line": "[access] demo = admins:admin, @ann:write"
  }
  [1]
  $ hg identify --ssh "ssh -F as-bob" ssh://fleet/demo
  remote: hgfleet: repository demo does not exist or you may not read it
  abort: no suitable response from remote hg
  [255]
  $ hg -q identify --ssh "ssh -F as-ann" ssh://fleet/demo
  [0-9a-f]{12} (re)
  $ echo 'hidden = admins:admin' >> "$DATA/access.rc"
  $ hgfleet repo create hidden --data "$DATA"
  $ hgfleet repo list --data "$DATA"
  demo
  hidden

  $ hgfleet down --data "$DATA"
  the fleet in $TESTTMP/fleet stopped
