"""Crashes, cuts and poison, on a fleet of real processes.

``fleet`` starts nodes, ``plant`` grows histories to push, ``schedule`` says
from a seed what happens, ``pusher`` does it with stock clients, ``watcher``
looks at the mirrors meanwhile, ``book`` reads the ledger on its own, and
``checker`` compares everything afterwards.  ``run.py`` is the long run.

With the ledger in Kafka, ``brokers`` runs it and the network to it,
``relayed`` a node's relay, and ``topic`` is how ``book`` reads it.  What lasts
for a while is done by ``blows`` and noted in ``trouble``.

``leaks``, ``restarts`` and ``hostile`` are about the warm server of one node,
whose repositories are ``scenery``; ``longrun`` is the command line that long
runs have in common.
"""
