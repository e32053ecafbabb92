"""Two small families, of resources and of prompts, that say when they change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import quote

from racto.agents.calls import Text
from racto.agents.offers import Changed, PromptArgument, PromptEntry, PromptMessage, ResourceEntry, Toolset
from racto.knowledge.errors import InputError, unknown_name
from racto.server.mcp import RactoMCPServer


class Notes:
    """Notes by name, as a family of resources; it says when they change."""

    template = "note://{name}"
    name = "notes"
    description = "Notes."
    mime_type = "text/markdown"

    def __init__(self, notes: Mapping[str, str | bytes]) -> None:
        self.notes = dict(notes)
        self.changed: Changed | None = None

    def entries(self) -> Iterable[ResourceEntry]:
        for name in self.notes:
            yield ResourceEntry(
                f"note://{quote(name, safe='')}", name, f"About {name}.", size=3, modified="2026-07-28T00:00:00Z"
            )

    def read(self, variables: Mapping[str, str]) -> Sequence[str | bytes]:
        name = variables["name"]
        if name == "broken":
            raise RuntimeError("password=hunter2")
        if name not in self.notes:
            raise unknown_name("note", name, self.notes)
        return [self.notes[name]]

    def complete(self, variable: str, prefix: str) -> Sequence[str]:
        return [name for name in self.notes if name.startswith(prefix)]

    def subscribe(self, changed: Changed) -> Callable[[], None]:
        self.changed = changed
        return lambda: None

    def write(self, name: str, text: str) -> None:
        self.notes[name] = text
        assert self.changed is not None
        self.changed(f"note://{quote(name, safe='')}")


class Greetings:
    """One prompt a name, as a family."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)
        self.changed: Changed | None = None

    def entries(self) -> Iterable[PromptEntry]:
        return [PromptEntry(name, f"Greets like {name}.", [PromptArgument("whom", "Who", True)]) for name in self.names]

    def render(self, name: str, arguments: Mapping[str, str]) -> Sequence[PromptMessage]:
        if name not in self.names:
            raise unknown_name("prompt", name, self.names)
        if "whom" not in arguments:
            raise InputError(f"{name} needs 'whom'.", "Say who.")
        return [PromptMessage("user", Text(f"{name}, {arguments['whom']}!"))]

    def complete(self, name: str, argument: str, prefix: str, given: Mapping[str, str]) -> Sequence[str]:
        if name not in self.names:
            raise unknown_name("prompt", name, self.names)
        return [f"{given.get('title', '')}{whom}" for whom in ("Ada", "Alan") if whom.startswith(prefix)]

    def subscribe(self, changed: Changed) -> Callable[[], None]:
        self.changed = changed
        return lambda: None

    def save(self, name: str) -> None:
        self.names.append(name)
        assert self.changed is not None
        self.changed()


def reading(*families: Notes) -> RactoMCPServer:
    server = RactoMCPServer("reading")
    server.add_toolset(Toolset("notes", [], families))
    return server


def greeting(*names: str) -> tuple[RactoMCPServer, Greetings]:
    server, family = RactoMCPServer("greeting"), Greetings(*names)
    server.add_toolset(Toolset("greetings", [], prompts=[family, Greetings("second")]))
    return server, family
