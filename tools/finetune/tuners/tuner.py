"""What all tuners share: nothing is sent that the provider would refuse, states have one name, and progress goes to the log."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from ....knowledge.edge import blocking
from ....knowledge.errors import InputError, MalformedResponseError, RactoGatewayError
from .. import capabilities

if TYPE_CHECKING:
    from ..dataset import RactoDataset

log = logging.getLogger(__name__)

Method = Literal["sft", "dpo"]
State = Literal["queued", "running", "succeeded", "failed", "cancelled", "unknown"]
OPEN: frozenset[State] = frozenset({"queued", "running", "unknown"})
"""The states of a job that may still change."""

Sleep = Callable[[float], Awaitable[object]]
_MOST_PROBLEMS = 5
_MOST_FAILURES = 20  # polls in a row


class TuningError(RactoGatewayError, RuntimeError):
    """A fine-tuning job failed, was cancelled, or was never created."""

    code = "tuning"


@dataclass(frozen=True, slots=True)
class RemoteJob:
    """A job as its provider tells of it.

    :param status: The provider's own word for the state.
    :param fine_tuned_model: The name to call the model by, once there is one.
    :param error: Why it failed.
    :param raw: All the provider said.
    """

    id: str
    provider: str
    state: State
    status: str
    model: str = ""
    fine_tuned_model: str | None = None
    error: str | None = None
    created_at: str | int | None = None
    raw: dict[str, Any] = field(default_factory=dict, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """What `get_status` returns: the fields but `raw`."""
        names = ("id", "provider", "state", "status", "model", "fine_tuned_model", "error", "created_at")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Order:
    """What a job is to do.

    :param model: The base model.
    :param training: What `upload_dataset` returned.
    :param validation: The same for held-out examples.
    :param settings: Hyperparameters under racto's names; `None` and "auto" leave one to the provider.
    :param suffix: A label in the name of the tuned model.
    :param mark: What the job is found again by: lower-case letters, digits and `-`.
    """

    model: str
    training: str = ""
    validation: str | None = None
    method: Method = "sft"
    settings: Mapping[str, Any] = field(default_factory=dict)
    suffix: str | None = None
    mark: str = ""


class Closable(Protocol):
    """A line to a provider."""

    async def aclose(self) -> None:
        """Close what is open."""
        ...


class FineTuner:
    """One provider's fine-tuning. A subclass says how files go up and how jobs begin, are seen, found and cancelled.

    :param progress: Gets every line of progress, besides the log.
    :param sleep: How to wait between two polls.
    """

    provider: ClassVar[str]
    formats: ClassVar[Mapping[Method, str]]
    """Method → the format of its examples."""
    parameters: ClassVar[Mapping[str, str]]
    """Hyperparameter → the provider's name of it."""
    states: ClassVar[Mapping[str, State]]
    """The provider's word → state; a word that is not here is "unknown"."""
    default_model: ClassVar[str] = ""
    validating: ClassVar[frozenset[Method]] = frozenset({"sft", "dpo"})
    """The methods that take held-out examples too."""

    def __init__(self, *, progress: Callable[[str], None] | None = None, sleep: Sleep = asyncio.sleep) -> None:
        self.lines: tuple[Closable, ...] = ()
        """What may be open."""
        self._progress = progress
        self._sleep = sleep

    # What a provider has to say.

    async def store(self, path: Path, name: str, examples: int) -> str:
        """Upload a file of examples.

        :param name: Of its content: the same examples have the same name.
        :returns: What a job knows it by.
        """
        raise NotImplementedError

    async def begin(self, order: Order) -> RemoteJob:
        """Create a job."""
        raise NotImplementedError

    async def job(self, job_id: str) -> RemoteJob:
        """How far a job is."""
        raise NotImplementedError

    async def jobs(self, limit: int) -> list[RemoteJob]:
        """The newest jobs, the newest first."""
        raise NotImplementedError

    async def find(self, mark: str) -> RemoteJob | None:
        """The job that was begun with this mark."""
        raise NotImplementedError

    async def events(self, job: RemoteJob, limit: int) -> list[dict[str, Any]]:
        """What was told of a job, the newest first: `created_at`, `level` and `message`.

        A provider without a log of events tells where the job stands.
        """
        message = f"{job.status}: {job.error}" if job.error else job.status
        return [{"created_at": job.created_at, "level": "error" if job.error else "info", "message": message}][:limit]

    async def stop(self, job_id: str) -> None:
        """Ask for a job to be cancelled."""
        raise NotImplementedError

    # What all share.

    async def aclose(self) -> None:
        """Close what the running loop has open."""
        for line in self.lines:
            await line.aclose()

    def allow(self, method: Method = "sft", model: str = "") -> None:
        """Nothing, where the provider takes new jobs of this kind today.

        :raises ConfigError: it does not; with what to use instead.
        """
        capabilities.check(self.provider, method, model, self.today())

    def today(self) -> date:
        """The day capabilities are looked up for."""
        return datetime.now(UTC).date()

    def check(self, order: Order, dataset: RactoDataset, validation_dataset: RactoDataset | None) -> None:
        """All that can be known before anything is sent.

        :raises ConfigError: the provider takes no such job today.
        :raises InputError: it would refuse the examples or the settings.
        """
        self.allow(order.method, order.model)
        self.hyperparameters(order)
        if validation_dataset is not None and order.method not in self.validating:
            raise InputError(
                f"{self.provider} takes no validation examples with {order.method}.", "Leave validation_dataset out."
            )
        self._validate(dataset, order.method, order.model)
        if validation_dataset is not None:
            self._validate(validation_dataset, order.method, order.model)

    async def aupload_dataset(self, dataset: RactoDataset, *, method: Method = "sft") -> str:
        """Upload examples, when they are valid.

        :returns: What `create_job` takes: an id of a file, or where it lies.
        :raises ConfigError: the provider does not do this.
        :raises InputError: an example breaks its rules (it is a `ValueError`).
        """
        self.allow(method)
        await asyncio.to_thread(self._validate, dataset, method)
        return await self.uploaded(dataset, method)

    async def uploaded(self, dataset: RactoDataset, method: Method) -> str:
        """`aupload_dataset` of examples that were checked already."""
        async with self.exported(dataset, method) as (path, fingerprint):
            return await self.store(path, f"racto-{fingerprint}", len(dataset))

    @asynccontextmanager
    async def exported(self, dataset: RactoDataset, method: Method) -> AsyncGenerator[tuple[Path, str]]:
        """A file of the examples, there for as long as the block, and its fingerprint: 24 hexadecimal digits of its content."""
        with tempfile.TemporaryDirectory(prefix="racto-") as folder:
            path = Path(folder) / "examples.jsonl"
            await asyncio.to_thread(dataset.export_jsonl, path, self.formats[method], overwrite=True)
            yield path, await asyncio.to_thread(_fingerprint, path)

    def _validate(self, dataset: RactoDataset, method: Method, model: str = "") -> None:
        """
        :raises ConfigError: the provider trains on no examples with such content.
        :raises InputError: there is no example, or one breaks the provider's rules.
        """
        for kind, present in (
            ("vision", any(turn.attachments for each in dataset for turn in each.messages)),
            ("tools", any(each.tools or turn.tool_calls for each in dataset for turn in each.messages)),
        ):
            if present:
                capabilities.check(self.provider, kind, model, self.today())
        pairs = sum(each.rejected is not None for each in dataset)
        if pairs != (len(dataset) if method == "dpo" else 0):
            raise InputError(
                f"{pairs} of {len(dataset)} examples are preference pairs.",
                "All of them are for method dpo, none for sft; nothing was sent.",
            )
        if not len(dataset):
            raise InputError("The dataset holds no examples.", "Add some; nothing was sent.")
        if problems := dataset.validate(self.formats[method]):
            more = f" … and {len(problems) - _MOST_PROBLEMS} more." if len(problems) > _MOST_PROBLEMS else ""
            raise InputError(
                f"{self.provider} would refuse this dataset: {'; '.join(problems[:_MOST_PROBLEMS])}{more}",
                "Correct the examples; nothing was sent.",
            )

    async def begun(self, order: Order) -> RemoteJob:
        """`begin`, after all that can be checked here."""
        self.allow(order.method, order.model)
        self.hyperparameters(order)
        return await self.begin(order)

    def hyperparameters(self, order: Order) -> dict[str, Any]:
        """Those of an order, under the provider's names.

        :raises InputError: it has no such one.
        """
        if unknown := [name for name in order.settings if name not in self.parameters]:
            raise InputError(
                f"{self.provider} has no hyperparameter {', '.join(map(repr, unknown))}.",
                f"It has: {', '.join(sorted(self.parameters))}.",
            )
        told = {name: value for name, value in order.settings.items() if value is not None and value != "auto"}
        return {self.parameters[name]: value for name, value in told.items()}

    async def aget_status(self, job_id: str) -> dict[str, Any]:
        """How far a job is: `id`, `state` (one of `State`), `status` (the provider's word), `fine_tuned_model`, `error` …"""
        return (await self.job(job_id)).as_dict()

    async def alist_jobs(self, limit: int = 10) -> list[dict[str, Any]]:
        """The newest jobs, the newest first, each as `get_status` tells it."""
        return [job.as_dict() for job in await self.jobs(limit)]

    async def alist_events(self, job_id: str, limit: int = 20) -> list[dict[str, Any]]:
        """What was told of a job, the newest first: `created_at`, `level` and `message`."""
        return await self.events(await self.job(job_id), limit)

    async def acancel(self, job_id: str) -> dict[str, Any]:
        """Cancel a job; what `get_status` tells of it then. Some providers need a while to stop."""
        await self.stop(job_id)
        return await self.aget_status(job_id)

    async def waited(self, job_id: str, poll_interval: float, verbose: bool) -> str:
        """The name of the tuned model, when the job has ended. A poll that fails for a moment is made up for by the next.

        :param poll_interval: Seconds.
        :param verbose: Tell every change of state.
        :raises TuningError: it failed or was cancelled (it is a `RuntimeError`).
        """
        told, failures = "", 0
        while True:
            try:
                job = await self.job(job_id)
            except RactoGatewayError as error:
                failures += 1
                if not error.transient or failures == _MOST_FAILURES:
                    raise
                self._say(f"{error.message} Asking again.", verbose)
            else:
                failures = 0
                if job.status != told:
                    told = job.status
                    self._say(f"{job_id}: {told}", verbose)
                if job.state == "succeeded":
                    return self._model_of(job)
                if job.state in ("failed", "cancelled"):
                    raise ended(job)
            await self._sleep(poll_interval)

    async def piped(
        self,
        dataset: RactoDataset,
        validation_dataset: RactoDataset | None,
        wanted: Order,
        poll_interval: float,
        verbose: bool,
    ) -> str:
        """Validate, upload, train and wait; the name of the tuned model.

        :param wanted: All of the order but its files.
        :raises ConfigError: the provider takes no such job; nothing was sent.
        :raises InputError: an example breaks its rules; nothing was sent.
        :raises TuningError: the job failed or was cancelled.
        """
        await asyncio.to_thread(self.check, wanted, dataset, validation_dataset)
        training = await self.uploaded(dataset, wanted.method)
        self._say(f"Uploaded {len(dataset)} training examples: {training}", verbose)
        validation = None
        if validation_dataset is not None:
            validation = await self.uploaded(validation_dataset, wanted.method)
            self._say(f"Uploaded {len(validation_dataset)} validation examples: {validation}", verbose)
        job = await self.begun(replace(wanted, training=training, validation=validation))
        self._say(f"Job created: {job.id}", verbose)
        tuned = await self.waited(job.id, poll_interval, verbose)
        self._say(f"Done. Tuned model: {tuned}", verbose)
        return tuned

    upload_dataset = blocking(aupload_dataset)
    get_status = blocking(aget_status)
    list_jobs = blocking(alist_jobs)
    list_events = blocking(alist_events)
    cancel = blocking(acancel)
    close = blocking(aclose)

    def _say(self, line: str, verbose: bool) -> None:
        # Never to stdout: in a server that speaks over stdio it belongs to the protocol.
        if verbose:
            log.info("[%s] %s", type(self).__name__, line)
            if self._progress is not None:
                self._progress(f"[{type(self).__name__}] {line}")

    def _model_of(self, job: RemoteJob) -> str:
        if not job.fine_tuned_model:
            raise MalformedResponseError(
                f"{self.provider} says that {job.id} has succeeded, and names no model.",
                "Look for it in the provider's console.",
                provider=self.provider,
            )
        return job.fine_tuned_model


def ended(job: RemoteJob) -> TuningError:
    """The error of a job that ended without a model."""
    reason = f": {job.error}" if job.error else "."
    return TuningError(
        f"The job {job.id} of {job.provider} {'was cancelled' if job.state == 'cancelled' else 'failed'}{reason}",
        "Its events may say more; correct the dataset or the settings and start another.",
        provider=job.provider,
        model=job.model,
    )


def _fingerprint(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:24]
