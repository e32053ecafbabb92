"""An Ollama server of one's own: started on a free port, stopped with the block that needed it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable, Coroutine
from contextlib import aclosing, suppress
from types import TracebackType
from typing import IO, Any, Self, TypeVar

from ..knowledge.edge import blocking, off_loop
from ..knowledge.errors import ConfigError, ConflictError, TimeLimitError
from .providers.ollama import OllamaProvider, PullProgress, ollama_url

T = TypeVar("T")

_POLL_SECONDS = 0.05
_STOP_SECONDS = 10.0
_LAST_LINES = 5


class OllamaServerManager:
    """`ollama serve` as a context manager, blocking or async.

    :param port: Where it listens; `None` takes a free one.
    :param host: The address it listens on.
    :param ollama_bin: The program; `None` finds `ollama` on the PATH.
    :param startup_timeout: Seconds until it must answer.
    :param env: Added to the environment, e.g. `{"OLLAMA_MODELS": "/data/models"}`.
    """

    def __init__(
        self,
        port: int | None = None,
        *,
        host: str = "127.0.0.1",
        ollama_bin: str | None = None,
        startup_timeout: float = 30.0,
        env: dict[str, str] | None = None,
    ) -> None:
        self.port = _free_port(host) if port is None else port
        self.host = host
        self.ollama_bin = ollama_bin or "ollama"
        self.startup_timeout = startup_timeout
        self._env = env or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._end: Callable[[], Any] | None = None

    @property
    def base_url(self) -> str:
        """Where it answers: what a kit or provider takes as `base_url`."""
        return ollama_url(f"{self.host}:{self.port}")

    @property
    def is_running(self) -> bool:
        """Whether the server that was started here is still there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, and return when it answers; nothing when it already runs.

        :raises ConfigError: there is no such program, or it gave up at once.
        :raises ConflictError: somebody else listens on the port.
        :raises TimeLimitError: it did not answer in `startup_timeout`.
        """
        if self.is_running:
            return
        program = shutil.which(self.ollama_bin)
        if program is None:
            raise ConfigError(
                f"There is no program {self.ollama_bin!r}.",
                "Install Ollama from https://ollama.com/download, or give ollama_bin.",
            )
        if not _is_free(self.host, self.port):
            raise ConflictError(f"Somebody listens on {self.host}:{self.port}.", "Take another port.")
        with tempfile.TemporaryFile() as log:
            self._process = subprocess.Popen(  # noqa: S603 - the program is the caller's choice
                [program, "serve"],
                env={**os.environ, **self._env, "OLLAMA_HOST": f"{self.host}:{self.port}"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; it and its runners can be ended together
            )
            # Also when the interpreter ends, or the manager is forgotten: a server nobody knows of holds gigabytes.
            self._end = weakref.finalize(self, _end, self._process)
            try:
                self._wait_for_answer(self._process, log)
            except BaseException:
                self.stop()
                raise

    def _wait_for_answer(self, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        until = time.monotonic() + self.startup_timeout
        while self._ask(_version) is None:
            with suppress(subprocess.TimeoutExpired):
                status = process.wait(_POLL_SECONDS)
                raise ConfigError(f"`ollama serve` ended with {status}: {_last_lines(log)}", "See what it says.")
            if time.monotonic() > until:
                raise TimeLimitError(
                    f"`ollama serve` did not answer within {self.startup_timeout:g} s: {_last_lines(log)}",
                    "Allow a longer startup_timeout.",
                )

    def stop(self) -> None:
        """Stop it and its runners; nothing when it does not run."""
        if self._end is not None:
            self._end()
        self._process = None

    def list_models(self) -> list[str]:
        """The names of the models that are here."""
        return self._ask(_names)

    def pull(self, model: str, on_progress: Callable[[PullProgress], None] | None = None) -> None:
        """Download a model.

        :param on_progress: Told how far it is, from another thread.
        :raises ModelNotAvailableError: there is no such model to download.
        """

        async def pull(provider: OllamaProvider) -> None:
            async with aclosing(provider.pull(model)) as told:
                async for progress in told:
                    if on_progress is not None:
                        on_progress(progress)

        self._ask(pull)

    def _ask(self, work: Callable[[OllamaProvider], Coroutine[Any, Any, T]]) -> T:
        async def ask() -> T:
            provider = OllamaProvider(self.base_url)
            try:
                return await work(provider)
            finally:
                await provider.aclose()

        return blocking(ask)()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await off_loop(self.start)()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await off_loop(self.stop)()


async def _version(provider: OllamaProvider) -> str | None:
    return await provider.detect()


async def _names(provider: OllamaProvider) -> list[str]:
    return [entry["id"] for entry in await provider.models()]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask a server to end, wait, and end what is left of its group."""
    if process.poll() is not None:
        return
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    if os.name == "posix":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def _last_lines(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode("utf-8", errors="replace").strip().splitlines()
    return " / ".join(lines[-_LAST_LINES:]) or "it said nothing."


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        if os.name == "posix":
            # As servers do, so that a port whose last connections have not quite ended counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
