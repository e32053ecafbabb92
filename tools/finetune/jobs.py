"""Fine-tuning jobs by handles that outlive the process: noted before the provider hears of them, found again after a crash, and polled
in the background, less and less often while nothing changes.
"""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from ...knowledge.database import Database
from ...knowledge.errors import RactoError, RactoGatewayError, UnknownNameError
from .tuners.tuner import OPEN, FineTuner, Method, Order, RemoteJob, Sleep, State, ended

if TYPE_CHECKING:
    from .dataset import RactoDataset

Step = Literal["uploading", "creating", "created"]

FIRST_SECONDS = 15.0
LONGEST_SECONDS = 300.0
_SLOWER = 1.5
_AT_ONCE = 4
_MOST_EVENTS = 100
_OLDEST_SECONDS = 30 * 86_400.0
"""How long a job is polled that does not end."""
_SURE_SECONDS = 660.0
"""By then a call that was to create a job has ended, one way or another."""
_IDLE_SECONDS = 60.0
"""After so long the loop looks for jobs other processes began."""


@dataclass(frozen=True, slots=True)
class TuningJob:
    """A job and all that is known of it.

    :param handle: Its name here, and the mark by which the provider's job is found again.
    :param dataset: Fingerprint of the training examples as they were sent; `validation` of the held-out ones, or "".
    :param training_file: Where the provider has them; `validation_file` too.
    :param step: How far its beginning came. Before `created` nobody knows whether the provider has such a job: its state is "unknown".
    :param remote_id: The provider's name of it.
    :param state: One of queued, running, succeeded, failed, cancelled, unknown.
    :param note: Why it is so, in words.
    :param created_at: Seconds since 1970, as `updated_at` and `poll_at`, when it is asked for next.
    """

    handle: str
    provider: str
    model: str
    method: Method
    settings: dict[str, Any]
    dataset: str
    validation: str
    training_file: str = ""
    validation_file: str = ""
    step: Step = "uploading"
    remote_id: str = ""
    state: State = "unknown"
    tuned_model: str = ""
    note: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    poll_at: float = 0.0
    poll_seconds: float = FIRST_SECONDS


_COLUMNS = tuple(field.name for field in fields(TuningJob))
_KEY = ("provider", "model", "method", "settings", "dataset", "validation")
"""What makes two jobs the same job."""


class TuningJobs:
    """The jobs of one database.

    :param database: Where handles are kept.
    :param tuner: Makes or finds the tuner of a provider.
    :param clock: Seconds since 1970; tests give their own, and their own `sleep`.
    """

    def __init__(
        self,
        database: Database,
        tuner: Callable[[str], FineTuner],
        *,
        clock: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._database = database
        self._tuner = tuner
        self._clock = clock
        self._sleep = sleep
        self._starting: set[str] = set()

    async def start(
        self,
        provider: str,
        dataset: RactoDataset,
        model: str = "",
        *,
        validation: RactoDataset | None = None,
        method: Method = "sft",
        settings: Mapping[str, Any] | None = None,
        suffix: str | None = None,
    ) -> TuningJob:
        """Upload examples and begin a job. The same job, asked for again while it runs, is not begun again: after a crash this goes on.

        :param settings: Hyperparameters, as the tuner names them.
        :raises ConfigError: the provider takes no such job; nothing was sent or noted.
        :raises InputError: it would refuse the examples or settings; nothing was sent or noted.
        :raises RactoGatewayError: the provider failed; the handle says how far it came.
        """
        tuner = self._tuner(provider)
        model = model or tuner.default_model
        order = Order(model, "", None, method, settings or {}, suffix)
        await asyncio.to_thread(tuner.check, order, dataset, validation)
        files: list[tuple[Any, str, int]] = []
        async with AsyncExitStack() as stack:
            for examples in [dataset] if validation is None else [dataset, validation]:
                path, fingerprint = await stack.enter_async_context(tuner.exported(examples, method))
                files.append((path, fingerprint, len(examples)))
            job = await asyncio.to_thread(self._noted, provider, order, [fingerprint for _, fingerprint, _ in files])
            if job.handle in self._starting:
                return job
            if job.step != "uploading":
                job = await self.refresh(job.handle)
                if job.state in OPEN or job.step == "created":
                    return job
                job = await asyncio.to_thread(self._noted, provider, order, [each[1] for each in files])
            async with self._blamed(job):
                stored = [await tuner.store(path, f"racto-{mark}", count) for path, mark, count in files]
                return await self._begun(tuner, job, stored, suffix)

    async def refresh(self, handle: str) -> TuningJob:
        """A job as its provider tells of it now.

        :raises UnknownNameError: there is no such handle.
        :raises RactoGatewayError: the provider does not tell; what was known stays.
        """
        job = await asyncio.to_thread(self.get, handle)
        if job.state not in OPEN or handle in self._starting:
            return job
        tuner = self._tuner(job.provider)
        if job.remote_id:
            return await self._told(tuner, job, await tuner.job(job.remote_id))
        if job.step == "creating":
            if (found := await tuner.find(handle)) is not None:
                return await self._told(tuner, job, found)
            if self._clock() - job.updated_at >= _SURE_SECONDS:
                return await self._changed(
                    job, state="failed", note="It was interrupted before the provider had it. Start it again."
                )
        elif self._clock() - job.updated_at >= _OLDEST_SECONDS:
            return await self._changed(
                job, state="failed", note="It was interrupted while examples went up. Start it again."
            )
        return await self._later(job)

    async def cancel(self, handle: str) -> TuningJob:
        """Cancel a job. A provider may need a while to stop: the state says when it has.

        :raises UnknownNameError: there is no such handle.
        """
        job = await self.refresh(handle)
        if job.state not in OPEN:
            return job
        if not job.remote_id and job.step == "uploading":
            return await self._changed(job, state="cancelled", note="It was cancelled before the provider had it.")
        if not job.remote_id:
            raise RactoGatewayError(
                f"Whether {job.provider} has the job {handle} is not known yet.",
                "Try again in some minutes.",
                provider=job.provider,
            )
        tuner = self._tuner(job.provider)
        await tuner.stop(job.remote_id)
        return await self._told(tuner, job, await tuner.job(job.remote_id))

    async def poll(self) -> list[TuningJob]:
        """Ask once for every job whose time has come; one that cannot be asked for is asked for later. Those that were, as they are now."""
        due = await asyncio.to_thread(self._due)
        room = asyncio.Semaphore(_AT_ONCE)

        async def ask(job: TuningJob) -> TuningJob:
            async with room:
                try:
                    return await self.refresh(job.handle)
                except RactoError as error:
                    return await self._later(job, note=error.message)

        return list(await asyncio.gather(*map(ask, due)))

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            await self.poll()
            await self._sleep(await asyncio.to_thread(self._pause))

    def get(self, handle: str) -> TuningJob:
        """What is known of a job.

        :raises UnknownNameError: there is no such handle.
        """
        with self._database.reading() as connection:
            row = connection.execute(f"{_SELECT} WHERE handle = ?", (handle,)).fetchone()
        if row is None:
            raise UnknownNameError(f"There is no fine-tuning job {handle!r}.", "List them for their handles.")
        return _job(row)

    def listed(self, limit: int = 20) -> list[TuningJob]:
        """The newest jobs, the newest first."""
        with self._database.reading() as connection:
            rows = connection.execute(f"{_SELECT} ORDER BY created_at DESC, rowid DESC LIMIT ?", (limit,))
            return [_job(row) for row in rows]

    def events(self, handle: str, limit: int = 20) -> list[dict[str, Any]]:
        """What was told of a job, the newest first: `created_at`, `level` and `message`."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT at, level, message FROM tuning_events WHERE handle = ? ORDER BY at DESC, rowid DESC LIMIT ?",
                (handle, limit),
            )
            return [dict(zip(("created_at", "level", "message"), row, strict=True)) for row in rows]

    # How a job begins.

    def _noted(self, provider: str, order: Order, fingerprints: list[str]) -> TuningJob:
        """The open handle of this job, or a new one."""
        now = self._clock()
        new = TuningJob(
            handle=f"racto-{secrets.token_hex(8)}",
            provider=provider,
            model=order.model,
            method=order.method,
            settings={**order.settings, **({"suffix": order.suffix} if order.suffix else {})},
            dataset=fingerprints[0],
            validation=fingerprints[1] if len(fingerprints) > 1 else "",
            note="Examples are going up.",
            created_at=now,
            updated_at=now,
            poll_at=now + FIRST_SECONDS,
        )
        told = _row(new)
        with self._database.writing() as connection:
            same = " AND ".join(f"{name} = :{name}" for name in _KEY)
            open_ones = ", ".join(f"'{state}'" for state in sorted(OPEN))
            row = connection.execute(f"{_SELECT} WHERE {same} AND state IN ({open_ones})", told).fetchone()
            if row is not None:
                return _job(row)
            places = ", ".join(f":{name}" for name in _COLUMNS)
            connection.execute(f"INSERT INTO tuning_jobs ({', '.join(_COLUMNS)}) VALUES ({places})", told)  # noqa: S608 - our column names
        return new

    async def _begun(self, tuner: FineTuner, job: TuningJob, stored: list[str], suffix: str | None) -> TuningJob:
        training, validation = stored[0], stored[1] if len(stored) > 1 else None
        # Only one process takes this step, and none takes it after a cancellation.
        claimed = await asyncio.to_thread(
            self._write,
            job,
            "step = 'uploading' AND state = 'unknown'",
            step="creating",
            training_file=training,
            validation_file=validation or "",
            note="The provider is asked to begin.",
        )
        if not claimed:
            return await asyncio.to_thread(self.get, job.handle)
        settings = {name: value for name, value in job.settings.items() if name != "suffix"}
        order = Order(job.model, training, validation, job.method, settings, suffix, job.handle)
        return await self._told(tuner, job, await tuner.begin(order))

    @asynccontextmanager
    async def _blamed(self, job: TuningJob) -> AsyncGenerator[None]:
        """What goes wrong for good while a job begins ends it. What may have been heard leaves it unknown."""
        self._starting.add(job.handle)
        try:
            yield
        except RactoError as error:
            passing = isinstance(error, RactoGatewayError) and error.transient
            await self._changed(job, note=error.message, **({} if passing else {"state": "failed"}))
            raise
        finally:
            self._starting.discard(job.handle)

    # What is heard of a job.

    async def _told(self, tuner: FineTuner, job: TuningJob, remote: RemoteJob) -> TuningJob:
        same = remote.state == job.state and bool(job.remote_id)
        wait = min(job.poll_seconds * _SLOWER, LONGEST_SECONDS) if same else FIRST_SECONDS
        note = ended(remote).message if remote.state in ("failed", "cancelled") else remote.status
        changed = await self._changed(
            job,
            step="created",
            remote_id=remote.id,
            state=remote.state,
            tuned_model=remote.fine_tuned_model or "",
            note=note,
            poll_seconds=wait,
            poll_at=self._clock() + wait,
        )
        # What was told on the way is no reason to doubt where the job stands.
        with suppress(RactoGatewayError):
            await asyncio.to_thread(self._keep, job.handle, await tuner.events(remote, _MOST_EVENTS))
        return changed

    async def _later(self, job: TuningJob, *, note: str | None = None) -> TuningJob:
        wait = min(job.poll_seconds * _SLOWER, LONGEST_SECONDS)
        about = {} if note is None else {"note": note}
        # `updated_at` stays: it says when the job last moved.
        return await self._changed(
            job, poll_seconds=wait, poll_at=self._clock() + wait, updated_at=job.updated_at, **about
        )

    async def _changed(self, job: TuningJob, **values: Any) -> TuningJob:
        await asyncio.to_thread(self._write, job, "TRUE", **values)
        return await asyncio.to_thread(self.get, job.handle)

    def _write(self, job: TuningJob, condition: str, **values: Any) -> bool:
        told = {"updated_at": self._clock(), **values, "handle": job.handle}
        changes = ", ".join(f"{name} = :{name}" for name in told if name != "handle")
        with self._database.writing() as connection:
            query = f"UPDATE tuning_jobs SET {changes} WHERE handle = :handle AND {condition}"  # noqa: S608 - our column names
            return connection.execute(query, told).rowcount == 1

    def _keep(self, handle: str, events: list[dict[str, Any]]) -> None:
        rows = [
            (handle, str(event["created_at"] or ""), str(event["level"]), str(event["message"]))
            for event in reversed(events)
        ]
        with self._database.writing() as connection:
            connection.executemany("INSERT OR IGNORE INTO tuning_events VALUES (?, ?, ?, ?)", rows)

    def _due(self) -> list[TuningJob]:
        now = self._clock()
        with self._database.reading() as connection:
            rows = connection.execute(f"{_SELECT} WHERE {_WAITING} AND poll_at <= ?", (now - _OLDEST_SECONDS, now))
            return [_job(row) for row in rows]

    def _pause(self) -> float:
        """Seconds until the next job is due."""
        now = self._clock()
        with self._database.reading() as connection:
            query = f"SELECT min(poll_at) FROM tuning_jobs WHERE {_WAITING}"  # noqa: S608 - a constant
            (soonest,) = connection.execute(query, (now - _OLDEST_SECONDS,)).fetchone()
        return min(max((math.inf if soonest is None else soonest) - now, 1.0), _IDLE_SECONDS)


_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM tuning_jobs"  # noqa: S608 - our column names
_WAITING = "state IN ('queued', 'running', 'unknown') AND created_at > ?"


def _row(job: TuningJob) -> dict[str, Any]:
    return {**asdict(job), "settings": json.dumps(job.settings, sort_keys=True)}


def _job(row: tuple[Any, ...]) -> TuningJob:
    told = dict(zip(_COLUMNS, row, strict=True))
    return TuningJob(**{**told, "settings": json.loads(told["settings"])})
