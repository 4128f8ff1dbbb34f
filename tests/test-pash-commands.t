What people ask for over SSH besides cloning and pushing.

  $ . "$TESTDIR/testlib/nodes.sh"
  $ node p1 primary
  $ node p2 primary
  $ bin=$("$PYTHON" -c 'import sys; print(sys.prefix + "/bin")')
  $ pash=$("$bin/python" -c 'import fleetpash; print(fleetpash.__path__[0])')
  $ for one in p1 p2; do
  >     cat >> $one/hgrc <<EOF
  > [extensions]
  > fleetpash =
  > [fleet]
  > directory = file://$TESTTMP/users.toml
  > ssh = ssh://hg@hg.example.org/
  > [access]
  > users/{user}/** = *:admin
  > users/** = *:read
  > secret/* = @root:admin
  > try = staff:write, landing:act, *:read
  > ** = staff:create, landing:write, landing:act, *:read
  > EOF
  > done
  $ cat > users.toml <<EOF
  > [users.ann]
  > groups = ["staff"]
  > [users."bob@example.org"]
  > [users."bob_example.org"]
  > [users.lando]
  > groups = ["landing"]
  > [users.zoe]
  > groups = ["staff"]
  > enabled = false
  > EOF
  $ cat > door <<EOF
  > #!/bin/sh
  > export SSH_ORIGINAL_COMMAND="\$3" SSH_CLIENT='10.1.2.3 4567 22'
  > exec "$bin/python" -I -S "$pash/pash.py" --hg "$bin/hg" \
  >     --hgrc "$TESTTMP/p1/hgrc" "\$1"
  > EOF
  $ chmod +x door
  $ as() { echo "--config=ui.ssh=$TESTTMP/door $1"; }
  $ door() { "$TESTTMP/door" "$1" host "$2" < /dev/null; }
  $ audit() { sed 's/"time": "[^"]*", "node": "p1", //' p1/state/audit.log; }

What there is.

  $ door ann help
  This server understands "hg clone", "hg pull" and "hg push", and, after
  "ssh hg@hg.example.org":
  
    clone [--json] NAME [SOURCE]              make a repository, empty or a copy
    edit [--json] REPO                        tell what a repository is like
    edit [--json] REPO description TEXT       describe it in one line
    edit [--json] REPO publishing yes|no      whether pushes become public
    edit [--json] REPO obsolescence yes|no    whether history may change
    edit [--json] REPO delete YES             remove it, at once and for all
    repo-group [--json] REPO                  tell who may do what to it
    repo-config [--json] REPO                 show its settings
    help [--json]                             show this
  
  A NAME without a slash is a repository of your own, in users/ann; put a
  slash before it for one that is nobody's. Without a command, you are told
  what you may do; "--json" alone tells it to programs.
  $ door ann 'help --json' | head -n 5
  {
    "commands": [
      {
        "usage": "clone [--json] NAME [SOURCE]",
        "summary": "make a repository, empty or a copy"
  $ door bob@example.org ''
  Hello bob@example.org. This is a Mercurial server; there is no shell here.
  
    your groups:  none
    to clone:     hg clone ssh://hg@hg.example.org/REPOSITORY
    to push:      hg push (in your clone)
    for more:     ask for "help"
  
  What you may do, by the first of these that a repository's name matches:
  
    users/bob_example.org/**       admin
    users/**                       read
    try                            read
    **                             read
  $ door bob_example.org --json
  {
    "user": "bob_example.org",
    "groups": [],
    "url": "ssh://hg@hg.example.org/",
    "rights": [
      {
        "glob": "users/**",
        "verb": "read"
      },
      {
        "glob": "try",
        "verb": "read"
      },
      {
        "glob": "**",
        "verb": "read"
      }
    ]
  }

A repository of one's own, empty or with what another has. It is there on
every node.

  $ door ann 'clone mine'
  users/ann/mine is made, empty; it is cloned with:
  
    hg clone ssh://hg@hg.example.org/users/ann/mine
  $ door bob@example.org 'clone --json it'
  {
    "repo": "users/bob_example.org/it",
    "source": "",
    "url": "ssh://hg@hg.example.org/users/bob_example.org/it"
  }
  $ on p2 hg replicate::catchup users/ann/mine
  users/ann/mine: at entry 1
  $ hg init work
  $ cd work
  $ echo 1 > a
  $ hg ci -qAm one -u ann
  $ hg push "$(as ann)" ssh://host/users/ann/mine | grep remote
  remote: adding changesets
  remote: adding manifests
  remote: adding file changes
  remote: added 1 changesets with 1 changes to 1 files
  $ hg phase -r .
  0: draft
  $ hg push "$(as ann)" ssh://host/users/bob_example.org/it | grep remote
  abort: remote error
  (check previous remote output)
  remote: hgfleet: ann may not write to users/bob_example.org/it
  remote: (ask an administrator of this fleet for write access)
  $ cd ..
  $ door ann 'clone theirs users/bob_example.org/it'
  users/ann/theirs is made, with all that users/bob_example.org/it has; it is cloned with:
  
    hg clone ssh://hg@hg.example.org/users/ann/theirs
  $ door bob@example.org 'clone --json copy users/ann/mine'
  {
    "repo": "users/bob_example.org/copy",
    "source": "users/ann/mine",
    "url": "ssh://hg@hg.example.org/users/bob_example.org/copy"
  }
  $ on p1 hg -R p1/repos/users/bob_example.org/copy log -T '{desc} {phase}\n'
  one draft
  $ on p1 hg -R p1/repos/users/bob_example.org/copy log -T '{pushuser}\n'
  bob@example.org

Names are for those whom the rules let have them.

  $ door ann 'clone mine'
  hgfleet: users/ann/mine exists already
  [1]
  $ door ann 'clone users/bob_example.org/mine'
  hgfleet: ann may not create users/bob_example.org/mine
  (ask for the names that you may use: see "help")
  [1]
  $ door bob@example.org 'clone /big'
  hgfleet: bob@example.org may not create big
  (ask for the names that you may use: see "help")
  [1]
  $ door ann 'clone /big'
  big is made, empty; it is cloned with:
  
    hg clone ssh://hg@hg.example.org/big
  $ door bob_example.org 'clone mine'
  hgfleet: bob_example.org has no home here for mine
  (give the whole name of the repository)
  [1]
  $ door ann 'clone other secret/plan'
  hgfleet: repository secret/plan does not exist or you may not read it
  [1]
  $ door ann 'clone other nothing'
  hgfleet: repository nothing does not exist or you may not read it
  [1]
  $ ls p1/repos p1/repos/users/ann
  p1/repos:
  big
  users
  
  p1/repos/users/ann:
  mine
  theirs

What it is like, and how that is changed.

  $ door ann 'edit users/ann/mine'
  repo:          users/ann/mine
  description:
  publishing:    no
  obsolescence:  no
  $ door ann 'edit users/ann/mine description "Mine", & <only> mine: Übung'
  repo:          users/ann/mine
  description:   "Mine", & <only> mine: \xc3\x9cbung (esc)
  publishing:    no
  obsolescence:  no
  $ door ann 'edit --json users/ann/mine obsolescence yes'
  {
    "repo": "users/ann/mine",
    "description": "\"Mine\", & <only> mine: \u00dcbung",
    "publishing": false,
    "obsolescence": true
  }
  $ door ann 'edit users/ann/mine publishing yes'
  repo:          users/ann/mine
  description:   "Mine", & <only> mine: \xc3\x9cbung (esc)
  publishing:    yes
  obsolescence:  yes
  $ door bob@example.org 'repo-config users/ann/mine'
  [phases]
  publish = yes
  [web]
  description = "Mine", & <only> mine: \xc3\x9cbung (esc)
  [experimental]
  evolution = all
  $ door bob@example.org 'repo-config --json users/ann/mine'
  {
    "repo": "users/ann/mine",
    "settings": {
      "experimental": {
        "evolution": "all"
      },
      "phases": {
        "publish": "yes"
      },
      "web": {
        "description": "\"Mine\", & <only> mine: \u00dcbung"
      }
    }
  }
  $ door ann 'edit users/ann/mine obsolescence no'
  repo:          users/ann/mine
  description:   "Mine", & <only> mine: \xc3\x9cbung (esc)
  publishing:    yes
  obsolescence:  no
  $ door bob@example.org 'edit users/ann/mine'
  repo:          users/ann/mine
  description:   "Mine", & <only> mine: \xc3\x9cbung (esc)
  publishing:    yes
  obsolescence:  no
  $ on p2 hg replicate::catchup users/ann/mine
  users/ann/mine: at entry 6
  $ cmp p1/repos/users/ann/mine/.hg/hgrc p2/repos/users/ann/mine/.hg/hgrc
  $ door ann 'repo-config big'

Only who administers it may do that.

  $ door bob@example.org 'edit users/ann/mine publishing yes'
  hgfleet: bob@example.org may not change users/ann/mine
  (ask somebody who has the right "admin"; see "repo-group")
  [1]
  $ door bob@example.org 'edit users/ann/mine delete YES'
  hgfleet: bob@example.org may not change users/ann/mine
  (ask somebody who has the right "admin"; see "repo-group")
  [1]
  $ door ann 'edit big description x'
  hgfleet: ann may not change big
  (ask somebody who has the right "admin"; see "repo-group")
  [1]
  $ door ann 'edit secret/plan'
  hgfleet: repository secret/plan does not exist or you may not read it
  [1]
  $ door zoe 'edit secret/plan'
  hgfleet: zoe is locked out
  (ask an administrator)
  [1]
  $ door ann 'edit users/ann/mine delete yes'
  hgfleet: a change is "description TEXT", "publishing yes|no", "obsolescence yes|no" or "delete YES"
  (use "hg clone", "hg pull" and "hg push"; "help" tells what else there is)
  [1]

Who may do what.

  $ door ann 'repo-group try'
  hgfleet: repository try does not exist or you may not read it
  [1]
  $ on p1 hg replicate::create try
  $ door ann 'repo-group try'
  try, by the line "try = staff:write, *:read, landing:act":
  staff may write
  everybody may read
  landing may act for others
  $ door ann 'repo-group --json users/ann/mine'
  {
    "repo": "users/ann/mine",
    "line": "users/{user}/** = *:admin",
    "grants": [
      {
        "subject": "*",
        "verb": "admin"
      }
    ]
  }

Deleted is deleted, everywhere.

  $ door ann 'edit users/ann/mine delete YES'
  users/ann/mine is deleted
  $ door ann 'edit users/ann/mine'
  hgfleet: repository users/ann/mine does not exist or you may not read it
  [1]
  $ on p2 hg replicate::catchup users/ann/mine
  users/ann/mine: at entry 7
  $ test -e p2/repos/users/ann/mine
  [1]

A landing service pushes in the name of somebody, with its own rights. The
name is what is recorded; both are in the audit.

  $ cd work
  $ land() { hg push --remotecmd "hg:for=$1" "$(as lando)" ssh://host/$2 2>&1; }
  $ land bob@example.org big | grep remote
  remote: adding changesets
  remote: adding manifests
  remote: adding file changes
  remote: added 1 changesets with 1 changes to 1 files
  $ on p1 hg -R ../p1/repos/big log -T '{pushuser}\n'
  bob@example.org
  $ echo 2 > a
  $ hg ci -qm two -u ann
  $ land nobody big
  pushing to ssh://host/big
  remote: hgfleet: nobody is not known here, or locked out
  remote: (only a user who may log in can be acted for)
  abort: no suitable response from remote hg
  [255]
  $ land zoe big
  pushing to ssh://host/big
  remote: hgfleet: zoe is not known here, or locked out
  remote: (only a user who may log in can be acted for)
  abort: no suitable response from remote hg
  [255]
  $ land ann users/ann/theirs
  pushing to ssh://host/users/ann/theirs
  remote: hgfleet: lando may not act for others in users/ann/theirs
  remote: (ask an administrator of this fleet for the right "act")
  abort: no suitable response from remote hg
  [255]
  $ land ann try
  pushing to ssh://host/try
  searching for changes
  remote: hgfleet: lando may not write to try
  remote: (ask an administrator of this fleet for write access)
  abort: remote error
  (check previous remote output)
  [100]
  $ hg push --remotecmd hg:for=lando "$(as ann)" ssh://host/big
  pushing to ssh://host/big
  remote: hgfleet: ann may not act for others in big
  remote: (ask an administrator of this fleet for the right "act")
  abort: no suitable response from remote hg
  [255]
  $ cd ..

All of it is in the audit.

  $ audit | grep -v '"who": "root"'
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "help", "decision": "allowed"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "help --json", "decision": "allowed"}
  {"event": "login", "who": "bob@example.org", "from": "10.1.2.3", "decision": "allowed"}
  {"event": "login", "who": "bob_example.org", "from": "10.1.2.3", "what": "--json", "decision": "allowed"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "clone mine", "decision": "allowed"}
  {"event": "create", "who": "ann", "from": "10.1.2.3", "repo": "users/ann/mine", "decision": "allowed"}
  {"event": "login", "who": "bob@example.org", "from": "10.1.2.3", "what": "clone --json it", "decision": "allowed"}
  {"event": "create", "who": "bob@example.org", "from": "10.1.2.3", "repo": "users/bob_example.org/it", "decision": "allowed"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "hg -R users/ann/mine serve --stdio", "decision": "allowed"}
  {"event": "push", "who": "ann", "from": "10.1.2.3", "repo": "users/ann/mine", "what": "entry 2, changesets: 1", "decision": "allowed"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "hg -R users/bob_example.org/it serve --stdio", "decision": "allowed"}
  {"event": "write", "who": "ann", "from": "10.1.2.3", "repo": "users/bob_example.org/it", "decision": "denied", "reason": "[access] users/** = *:read: gives ann only read, not write"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "clone theirs users/bob_example.org/it", "decision": "allowed"}
  {"event": "create", "who": "ann", "from": "10.1.2.3", "repo": "users/ann/theirs", "decision": "allowed"}
  {"event": "login", "who": "bob@example.org", "from": "10.1.2.3", "what": "clone --json copy users/ann/mine", "decision": "allowed"}
  {"event": "create", "who": "bob@example.org", "from": "10.1.2.3", "repo": "users/bob_example.org/copy", "decision": "allowed"}
  {"event": "push", "who": "bob@example.org", "from": "10.1.2.3", "repo": "users/bob_example.org/copy", "what": "entry 2, changesets: 1", "decision": "allowed"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "clone mine", "decision": "allowed"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "clone users/bob_example.org/mine", "decision": "allowed"}
  {"event": "create", "who": "ann", "from": "10.1.2.3", "repo": "users/bob_example.org/mine", "decision": "denied", "reason": "[access] users/** = *:read: gives ann only read, not create"}
  {"event": "login", "who": "bob@example.org", "from": "10.1.2.3", "what": "clone /big", "decision": "allowed"}
  {"event": "create", "who": "bob@example.org", "from": "10.1.2.3", "repo": "big", "decision": "denied", "reason": "[access] ** = staff:create, landing:write, *:read, landing:act: gives bob@example.org only read, not create"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "clone /big", "decision": "allowed"}
  {"event": "create", "who": "ann", "from": "10.1.2.3", "repo": "big", "decision": "allowed"}
  {"event": "login", "who": "bob_example.org", "from": "10.1.2.3", "what": "clone mine", "decision": "allowed"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "clone other secret/plan", "decision": "allowed"}
  {"event": "read", "who": "ann", "from": "10.1.2.3", "repo": "secret/plan", "decision": "denied", "reason": "[access] secret/* = @root:admin: gives ann nothing, not read"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "clone other nothing", "decision": "allowed"}
  {"event": "read", "who": "ann", "from": "10.1.2.3", "repo": "nothing", "decision": "denied", "reason": "no such repository"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "edit users/ann/mine", "decision": "allowed"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "edit users/ann/mine description \"Mine\", & <only> mine: \u00dcbung", "decision": "allowed"}
  {"event": "config", "who": "ann", "from": "10.1.2.3", "repo": "users/ann/mine", "decision": "allowed"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "edit --json users/ann/mine obsolescence yes", "decision": "allowed"}
  {"event": "config", "who": "ann", "from": "10.1.2.3", "repo": "users/ann/mine", "decision": "allowed"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "edit users/ann/mine publishing yes", "decision": "allowed"}
  {"event": "config", "who": "ann", "from": "10.1.2.3", "repo": "users/ann/mine", "decision": "allowed"}
  {"event": "login", "who": "bob@example.org", "from": "10.1.2.3", "what": "repo-config users/ann/mine", "decision": "allowed"}
  {"event": "login", "who": "bob@example.org", "from": "10.1.2.3", "what": "repo-config --json users/ann/mine", "decision": "allowed"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "edit users/ann/mine obsolescence no", "decision": "allowed"}
  {"event": "config", "who": "ann", "from": "10.1.2.3", "repo": "users/ann/mine", "decision": "allowed"}
  {"event": "login", "who": "bob@example.org", "from": "10.1.2.3", "what": "edit users/ann/mine", "decision": "allowed"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "repo-config big", "decision": "allowed"}
  {"event": "login", "who": "bob@example.org", "from": "10.1.2.3", "what": "edit users/ann/mine publishing yes", "decision": "allowed"}
  {"event": "admin", "who": "bob@example.org", "from": "10.1.2.3", "repo": "users/ann/mine", "decision": "denied", "reason": "[access] users/** = *:read: gives bob@example.org only read, not admin"}
  {"event": "login", "who": "bob@example.org", "from": "10.1.2.3", "what": "edit users/ann/mine delete YES", "decision": "allowed"}
  {"event": "admin", "who": "bob@example.org", "from": "10.1.2.3", "repo": "users/ann/mine", "decision": "denied", "reason": "[access] users/** = *:read: gives bob@example.org only read, not admin"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "edit big description x", "decision": "allowed"}
  {"event": "admin", "who": "ann", "from": "10.1.2.3", "repo": "big", "decision": "denied", "reason": "[access] ** = staff:create, landing:write, *:read, landing:act: gives ann only create, not admin"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "edit secret/plan", "decision": "allowed"}
  {"event": "read", "who": "ann", "from": "10.1.2.3", "repo": "secret/plan", "decision": "denied", "reason": "[access] secret/* = @root:admin: gives ann nothing, not read"}
  {"event": "login", "who": "zoe", "from": "10.1.2.3", "what": "edit secret/plan", "decision": "denied", "reason": "zoe is locked out"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "edit users/ann/mine delete yes", "decision": "denied", "reason": "a change is \"description TEXT\", \"publishing yes|no\", \"obsolescence yes|no\" or \"delete YES\""}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "repo-group try", "decision": "allowed"}
  {"event": "read", "who": "ann", "from": "10.1.2.3", "repo": "try", "decision": "denied", "reason": "no such repository"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "repo-group try", "decision": "allowed"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "repo-group --json users/ann/mine", "decision": "allowed"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "edit users/ann/mine delete YES", "decision": "allowed"}
  {"event": "delete", "who": "ann", "from": "10.1.2.3", "repo": "users/ann/mine", "decision": "allowed"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "edit users/ann/mine", "decision": "allowed"}
  {"event": "read", "who": "ann", "from": "10.1.2.3", "repo": "users/ann/mine", "decision": "denied", "reason": "no such repository"}
  {"event": "login", "who": "lando", "from": "10.1.2.3", "what": "hg:for=bob@example.org -R big serve --stdio", "decision": "allowed"}
  {"event": "push", "who": "lando", "for": "bob@example.org", "from": "10.1.2.3", "repo": "big", "what": "entry 2, changesets: 1", "decision": "allowed"}
  {"event": "login", "who": "lando", "from": "10.1.2.3", "what": "hg:for=nobody -R big serve --stdio", "decision": "allowed"}
  {"event": "act", "who": "lando", "from": "10.1.2.3", "repo": "big", "decision": "denied", "reason": "nobody is not known here, or locked out"}
  {"event": "login", "who": "lando", "from": "10.1.2.3", "what": "hg:for=zoe -R big serve --stdio", "decision": "allowed"}
  {"event": "act", "who": "lando", "from": "10.1.2.3", "repo": "big", "decision": "denied", "reason": "zoe is not known here, or locked out"}
  {"event": "login", "who": "lando", "from": "10.1.2.3", "what": "hg:for=ann -R users/ann/theirs serve --stdio", "decision": "allowed"}
  {"event": "act", "who": "lando", "from": "10.1.2.3", "repo": "users/ann/theirs", "decision": "denied", "reason": "[access] users/** = *:read: does not let lando act"}
  {"event": "login", "who": "lando", "from": "10.1.2.3", "what": "hg:for=ann -R try serve --stdio", "decision": "allowed"}
  {"event": "write", "who": "lando", "for": "ann", "from": "10.1.2.3", "repo": "try", "decision": "denied", "reason": "[access] try = staff:write, *:read, landing:act: gives lando only read, not write"}
  {"event": "login", "who": "ann", "from": "10.1.2.3", "what": "hg:for=lando -R big serve --stdio", "decision": "allowed"}
  {"event": "act", "who": "ann", "from": "10.1.2.3", "repo": "big", "decision": "denied", "reason": "[access] ** = staff:create, landing:write, *:read, landing:act: does not let ann act"}

What cannot be written down is not done.

  $ cp p1/hgrc good.rc
  $ printf '[fleet]\naudit = file://%s/nowhere/audit.log\n' "$TESTTMP" >> p1/hgrc
  $ door ann 'clone more'
  hgfleet: the audit file://$TESTTMP/nowhere/audit.log cannot be written: No such file or directory
  (tell an administrator; try again later)
  [75]
  $ test -e p1/repos/users/ann/more
  [1]
  $ cp good.rc p1/hgrc

A copy that fails half way leaves nothing behind.

  $ printf '[hooks]\npretxnopen.no = false\n' >> p1/hgrc
  $ door ann 'clone half big'
  abort: pretxnopen.no hook exited with status 1
  [40]
  $ test -e p1/repos/users/ann/half
  [1]
  $ cp good.rc p1/hgrc
  $ door ann 'clone half big' | head -n 1
  users/ann/half is made, with all that big has; it is cloned with:
