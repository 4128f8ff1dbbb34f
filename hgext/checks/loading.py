"""Which policies are in force for a repository, and with which settings.

Whatever is wrong with the settings, or with a policy, is a SettingError: a
push that cannot be judged is refused.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from hgext3rd.fleet.core import verdict
from hgext3rd.fleet.core.checks import Appointed, Mode, Options, Push
from hgext3rd.fleet.core.errors import SettingError
from hgext3rd.fleet.edge import text

from ..fleet import adapters

# What [checks] has beside the policies and their settings.
ITEMS = {
    'pushvars': '',
    'show': '10',
    'urls': '',
    'warm': 'yes',
}


@dataclass(frozen=True)
class Bench:
    """What is in force: policies with their modes, and who may bypass."""

    modes: Mapping[str, Mode]
    options: Mapping[str, Options]
    modules: Mapping[str, ModuleType]
    grants: Mapping[str, tuple[str, ...]]
    general: Options

    def appoint(self, push: Push) -> list[Appointed]:
        """Return the judges for a push; SettingError."""
        return [
            Appointed(name, self.modes[name], _begin(module, options, push))
            for name, module in self.modules.items()
            for options in (self.options[name],)
        ]


def bench(ui: Any) -> Bench:
    """Read the settings and load the policies that they name."""
    said = {text(k): text(v) for k, v in ui.configitems(b'checks')}
    places = _places(said)
    modes = {name: _mode(name, said) for name in places}
    on = [name for name in places if modes[name] is not Mode.OFF]
    modules = {name: _load(name, places[name]) for name in on}
    bypass = {
        name.removeprefix('bypass.'): value
        for name, value in said.items()
        if name.startswith('bypass.')
    }
    for name in bypass:
        if name not in places and name != '*':
            raise _unknown(f'bypass.{name}')
    _refuse_unknown(said, places, modules)
    return Bench(
        modes,
        {
            name: Options(
                name,
                {
                    item: said.get(f'{name}.{item}', default)
                    for item, default in module.ITEMS.items()
                },
                _rules(ui, name),
            )
            for name, module in modules.items()
        },
        modules,
        {
            name: verdict.grant(name, bypass.get(name, bypass.get('*', '')))
            for name in on
        },
        Options('', {**ITEMS, **{k: said[k] for k in ITEMS if k in said}}),
    )


def _places(said: Mapping[str, str]) -> dict[str, str]:
    """Return the module of each policy, by its name."""
    import fleethooks

    places = {name: f'fleethooks.{name}' for name in fleethooks.POLICIES}
    for item, value in said.items():
        if item.startswith('policy.'):
            name = item.removeprefix('policy.')
            if name in places or not name.isidentifier():
                raise SettingError(
                    f'[checks] {item} cannot be called so',
                    'use a name of letters that no other policy has',
                )
            places[name] = value
    return places


def _mode(name: str, said: Mapping[str, str]) -> Mode:
    value = said.get(name, 'off').strip()
    try:
        return Mode(value)
    except ValueError:
        raise SettingError(
            f'[checks] {name} is {value!r}', 'use enforce, warn or off'
        ) from None


def _load(name: str, place: str) -> ModuleType:
    try:
        # Ours stand lazy imports, which make the first push quicker.
        ours = place.startswith('fleethooks.')
        with nullcontext() if ours else adapters.plain_imports():
            module = importlib.import_module(place)
        if callable(module.begin) and isinstance(module.ITEMS, dict):
            return module
        problem = 'it is not a policy'
    except ImportError as error:
        problem = f'{error}'
    except Exception as error:  # noqa: BLE001 whatever it is, not a yes
        problem = f'{type(error).__name__}: {error}'
    raise SettingError(
        f'the check {name} cannot be loaded: {problem}',
        'tell an administrator of this server',
    )


def _begin(module: ModuleType, options: Options, push: Push) -> Any:
    try:
        return module.begin(options, push)
    except SettingError:
        raise
    except Exception as error:
        raise SettingError(
            f'the check {options.policy} cannot begin: '
            f'{type(error).__name__}: {error}',
            'tell an administrator of this server',
        ) from error


def _refuse_unknown(
    said: Mapping[str, str],
    places: Mapping[str, str],
    modules: Mapping[str, ModuleType],
) -> None:
    """Raise SettingError for what would have no effect.

    Settings of a policy that is off are not looked at.
    """
    for item in said:
        head, dot, rest = item.partition('.')
        if item in ITEMS or item in places or head in ('policy', 'bypass'):
            continue
        if dot and head in places:
            if head in modules and rest not in modules[head].ITEMS:
                raise _unknown(item)
            continue
        raise _unknown(item)


def _unknown(item: str) -> SettingError:
    return SettingError(
        f'[checks] {item} is not known',
        'see "hg help checks-policies" for what is',
    )


def _rules(ui: Any, name: str) -> tuple[tuple[str, str], ...]:
    section = b'checks.%s' % name.encode()
    return tuple((text(k), text(v)) for k, v in ui.configitems(section))
