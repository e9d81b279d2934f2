"""The registry of one workspace: packaged providers and its own teachers, checked with its settings."""

from collections.abc import Iterable
from difflib import get_close_matches
from importlib.resources import files

from proxy.errors import SettingsError
from proxy.forwarding import may_carry_credential
from proxy.route import Entry, Registry, TeacherSettings, read_registry
from proxy.settings import Settings

__all__ = ["registry_of"]


def registry_of(settings: Settings) -> Registry:
    """The registry: packaged providers and the workspace's own teachers, checked with `custody`.

    Raises:
        SettingsError: two entries share an id, a host or a prefix; or a key is in custody for an
            entry that there is not, or that would send it unencrypted to another machine.
    """
    teachers = [TeacherSettings.model_validate(teacher) for teacher in settings.teachers]
    packaged = files("proxy").joinpath("providers.yaml")
    registry = read_registry(
        lambda: packaged.read_text(encoding="utf-8"), teachers, settings.endpoints
    )
    entries = {entry.id: entry for entry in registry.entries}
    named: dict[str, Iterable[str]] = {
        "custody": settings.custody,
        "deliveries": settings.deliveries,
        "endpoints": settings.endpoints,
    }
    for key, routes in named.items():
        for route in routes:
            if route not in entries:
                raise _unknown_entry(key, route, list(entries))
    for route in settings.custody:
        _refuse_unsafe(entries[route])
    return registry


def _unknown_entry(key: str, route: str, known: list[str]) -> SettingsError:
    # Without this, calls of the entry that was meant would pass the client's own key on.
    near = get_close_matches(route, known, n=1)
    fix = f"did you mean `{near[0]}`?" if near else f"the entries are {', '.join(sorted(known))}"
    message = f"`{key}` speaks of `{route}`, and the registry has no such entry"
    return SettingsError(message, help=fix, where=f"{key}.{route}", code="unknown-teacher")


def _refuse_unsafe(entry: Entry) -> None:
    host, port = entry.connect or (entry.hosts[0], entry.port)
    if host == "localhost" or may_carry_credential(entry.scheme, host):
        return
    message = f"the key of `{entry.id}` would go to `{host}:{port}` unencrypted"
    fix = "use `scheme: https`, or a teacher on this machine"
    raise SettingsError(message, help=fix, where=f"custody.{entry.id}", code="unsafe-custody")
