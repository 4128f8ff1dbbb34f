"""The configuration of a node, as its own processes read it."""

from __future__ import annotations

from typing import Any

from mercurial import ui as uimod

from ..fleet import edge, settings
from . import founding, plan
from .layout import Layout


def of_first_primary(layout: Layout) -> Any:
    """Return a ``ui`` with the settings of the first primary."""
    first = plan.nodes(founding.record(layout))[0].name
    return of(layout, first)


def of(layout: Layout, node: str) -> Any:
    """Return a ``ui`` with the settings of a node."""
    ui = uimod.ui()
    settings.declare(ui)
    ui.readconfig(edge.local(layout.node(node).hgrc), trust=True)
    return ui
