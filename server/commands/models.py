"""`racto models`: what models there are."""

from __future__ import annotations

import argparse
import asyncio

from ...agents.calls import plain
from ...knowledge.errors import ConfigError
from ...tools.models import ModelList, ModelTools
from ...tools.services import Services
from ..app import services
from ..console import err, out, out_json
from ..settings import Settings
from . import flags

EXAMPLES = """\
  racto models                      those that answer first, then all that are known
  racto models --provider ollama    what is on this machine
  racto models --name mini --capability images
  racto models --provider openai --live
  racto models --update             fetch the list that registry_url names"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this command."""
    parser.add_argument("--provider", default="", help="those of one provider")
    parser.add_argument("--name", default="", help="those with this in their name")
    parser.add_argument("--capability", default="", help="those that can: chat, embed, tools, schema, images, …")
    parser.add_argument("--live", action="store_true", help="ask the providers themselves")
    parser.add_argument("--limit", type=int, default=100, help="at most so many")
    parser.add_argument("--update", action="store_true", help="fetch the list of models that registry_url names")
    parser.add_argument("--json", action="store_true", help="print data instead of lines")
    flags.add(parser, "database")


def run(arguments: argparse.Namespace) -> int:
    """Print the models."""
    settings = flags.loaded(arguments).settings
    with services(settings) as kept:
        found = asyncio.run(_found(settings, kept, arguments))
    if arguments.json:
        out_json(plain(found))
    else:
        out(found.render())
    return 0


async def _found(settings: Settings, kept: Services, arguments: argparse.Namespace) -> ModelList:
    try:
        if arguments.update:
            await _update(settings, kept)
        return await ModelTools(kept).models_list(
            arguments.provider, arguments.name, arguments.capability, arguments.live, arguments.limit
        )
    finally:
        await kept.aclose()


async def _update(settings: Settings, kept: Services) -> None:
    from ...agents.remote_registry import update
    from ..models import remote_registry

    remote = remote_registry(settings)
    if remote is None:
        raise ConfigError("No list of models is named.", "Set RACTO_REGISTRY_URL to its https address.")
    count = await update(remote, (await kept.models()).registry)
    err(f"{count} entries fetched.")
