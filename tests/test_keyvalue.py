"""One contract for every kind of key-value store, and what each kind promises beside it."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from racto.knowledge.database import Database
from racto.knowledge.errors import ConfigError, ConflictError, InputError, StorageError, UnknownNameError
from racto.knowledge.keyvalue import KEYVALUES, KeyValue, make
from racto.knowledge.keyvalue.memory import MemoryKeyValue
from racto.knowledge.keyvalue.redis import RedisKeyValue
from racto.knowledge.keyvalue.sqlite import SQLiteKeyValue

from tests.redis_server import redis_server

pytestmark = pytest.mark.anyio


class Place(Protocol):
    """Where stores of one kind keep their keys, and its clock."""

    def store(self, namespace: str = "") -> KeyValue: ...
    def advance(self, seconds: float) -> None: ...


class MemoryPlace:
    def __init__(self) -> None:
        self.now = 1000.0
        self.stores: dict[str, KeyValue] = {}

    def store(self, namespace: str = "") -> KeyValue:
        return self.stores.setdefault(namespace, make("memory", clock=lambda: self.now))

    def advance(self, seconds: float) -> None:
        self.now += seconds


class SQLitePlace:
    def __init__(self) -> None:
        self.now = 1000.0
        self.database = Database()

    def store(self, namespace: str = "") -> KeyValue:
        return make("sqlite", database=self.database, namespace=namespace, clock=lambda: self.now)

    def advance(self, seconds: float) -> None:
        self.now += seconds


class RedisPlace:
    def __init__(self, url: str) -> None:
        import redis

        self.client: Any = redis.Redis.from_url(url)
        self.client.flushdb()

    def store(self, namespace: str = "") -> KeyValue:
        return make("redis", client=self.client, namespace=namespace)

    def advance(self, seconds: float) -> None:
        """A server's clock cannot be set, but what every key has left can be made less."""
        for key in self.client.scan_iter():
            if (left := self.client.pttl(key)) > 0:
                self.client.pexpire(key, left - round(seconds * 1000))


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture(params=KEYVALUES)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "memory":
        yield MemoryPlace()
    elif request.param == "sqlite":
        sqlite_place = SQLitePlace()
        yield sqlite_place
        sqlite_place.database.close()
    else:
        redis_place = RedisPlace(request.getfixturevalue("redis_url"))
        yield redis_place
        redis_place.client.close()


@pytest.fixture
def store(place: Place) -> KeyValue:
    return place.store("test")


async def test_what_was_put_is_got_byte_for_byte(store: KeyValue) -> None:
    for value in (b"", b"\0\xff\r\n", "é中".encode(), bytes(range(256)) * 4096):
        await store.put("key", value)
        assert await store.get("key") == value
    assert await store.get("other") is None


async def test_a_deleted_key_is_gone_and_was_there_only_once(store: KeyValue) -> None:
    await store.put("key", b"1")
    assert await store.delete("key") is True
    assert await store.delete("key") is False
    assert await store.get("key") is None


async def test_a_value_is_gone_when_its_time_is_over_and_not_before(place: Place, store: KeyValue) -> None:
    await store.put("short", b"1", ttl=60)
    await store.put("long", b"2")
    place.advance(59)
    assert await store.get("short") == b"1"
    place.advance(2)
    assert await store.get("short") is None
    assert await store.delete("short") is False
    assert await store.keys() == ["long"]
    assert await store.count() == 1


async def test_putting_again_gives_a_new_time_to_live(place: Place, store: KeyValue) -> None:
    await store.put("renewed", b"1", ttl=60)
    await store.put("for ever", b"1", ttl=60)
    place.advance(50)
    await store.put("renewed", b"2", ttl=60)
    await store.put("for ever", b"2")
    place.advance(50)
    assert await store.keys() == ["for ever", "renewed"]


async def test_a_number_counts_from_nothing_and_lives_from_its_first_increment(place: Place, store: KeyValue) -> None:
    assert await store.increment("n", ttl=60) == 1
    place.advance(40)
    assert await store.increment("n", 41, ttl=60) == 42
    assert await store.get("n") == b"42"
    place.advance(30)
    assert await store.increment("n", -7) == -7


async def test_an_increment_over_the_limit_adds_nothing_and_leaves_no_key(store: KeyValue) -> None:
    assert await store.increment("n", 11, limit=10) is None
    assert await store.keys() == []
    assert await store.increment("n", 10, limit=10) == 10
    assert await store.increment("n", 1, limit=10) is None
    assert await store.get("n") == b"10"


async def test_200_concurrent_increments_with_a_limit_let_exactly_as_many_through(store: KeyValue) -> None:
    results = await asyncio.gather(*(store.increment("n", 3, limit=100) for _ in range(200)))
    assert sorted(total for total in results if total is not None) == list(range(3, 100, 3))
    assert await store.get("n") == b"99"


async def test_only_one_of_many_gets_a_lock_and_only_its_holder_gives_it_back(place: Place, store: KeyValue) -> None:
    names = [b"%d" % number for number in range(50)]
    got = await asyncio.gather(*(store.replace("lock", None, name, ttl=30) for name in names))
    assert sum(got) == 1
    holder = names[got.index(True)]
    assert await store.replace("lock", b"somebody", None) is False
    assert await store.get("lock") == holder
    assert await store.replace("lock", holder, None) is True
    assert await store.replace("lock", None, b"", ttl=30) is True
    assert await store.replace("lock", None, b"next") is False, "an empty value is a value"
    place.advance(31)
    assert await store.replace("lock", None, b"next") is True


async def test_a_replacement_needs_the_old_value(store: KeyValue) -> None:
    await store.put("key", b"a")
    assert await store.replace("key", b"b", b"c") is False
    assert await store.replace("key", b"a", b"\0c") is True
    assert await store.get("key") == b"\0c"
    assert await store.replace("gone", b"", b"c") is False
    assert await store.replace("gone", None, None) is True


async def test_a_list_keeps_its_newest_items_in_order(store: KeyValue) -> None:
    lengths = [await store.append("list", b"%d" % number, keep=3) for number in range(5)]
    assert lengths == [1, 2, 3, 3, 3]
    assert await store.items("list") == [b"2", b"3", b"4"]
    assert await store.length("list") == 3
    assert await store.append("list", b"5") == 4
    assert await store.items("nothing") == []
    assert await store.length("nothing") == 0


async def test_appending_renews_the_time_to_live_of_a_list(place: Place, store: KeyValue) -> None:
    await store.append("list", b"1", ttl=60)
    await store.append("kept", b"1", ttl=60)
    place.advance(50)
    await store.append("list", b"2", ttl=60)
    await store.append("kept", b"2")
    place.advance(50)
    assert await store.items("list") == [b"1", b"2"]
    place.advance(20)
    assert await store.items("list") == []
    assert await store.append("list", b"3") == 1
    assert await store.items("list") == [b"3"]
    assert await store.items("kept") == [b"1", b"2"]


async def test_200_concurrent_appends_lose_nothing(store: KeyValue) -> None:
    lengths = await asyncio.gather(*(store.append("list", b"%d" % number) for number in range(200)))
    assert sorted(lengths) == list(range(1, 201))
    assert sorted(map(int, await store.items("list"))) == list(range(200))


async def test_a_key_holds_a_value_or_a_list_and_says_so(store: KeyValue) -> None:
    await store.put("value", b"text")
    await store.append("list", b"item")
    calls: list[Callable[[], Any]] = [
        lambda: store.get("list"),
        lambda: store.increment("list"),
        lambda: store.replace("list", b"x", b"y"),
        lambda: store.append("value", b"x"),
        lambda: store.items("value"),
        lambda: store.length("value"),
        lambda: store.increment("value"),
    ]
    for call in calls:
        with pytest.raises(ConflictError, match="does not hold"):
            await call()
    assert await store.items("list") == [b"item"]
    await store.put("list", b"now a value")
    assert await store.get("list") == b"now a value"
    assert await store.delete("list")
    assert await store.append("list", b"new") == 1
    assert await store.items("list") == [b"new"]


async def test_prefixes_are_taken_literally(store: KeyValue) -> None:
    keys = ["a*", "a*b", "ab", "a?", "[a]", "a\\*", "a%", "a_", "A*", "^a", "ä*"]
    for key in keys:
        await store.put(key, b"")
    assert await store.keys() == sorted(keys)
    for prefix in ("", "a", "a*", "a?", "[a", "a\\", "a%", "a_", "^", "ä", "nothing"):
        expected = sorted(key for key in keys if key.startswith(prefix))
        assert await store.keys(prefix) == expected
        assert await store.count(prefix) == len(expected)
    assert await store.clear("a*") == 2
    assert await store.count() == len(keys) - 2
    assert await store.clear() == len(keys) - 2
    assert await store.keys() == []


async def test_clearing_takes_lists_and_thousands_of_keys_with_it(store: KeyValue) -> None:
    await asyncio.gather(*(store.put(f"many:{number}", b"") for number in range(1500)))
    await store.append("many:list", b"1")
    assert await store.clear("many:") == 1501
    assert await store.items("many:list") == []


async def test_namespaces_do_not_see_each_other(place: Place) -> None:
    first, second, longer = place.store("a"), place.store("b"), place.store("ab")
    await first.put("key", b"1")
    await second.put("key", b"2")
    await longer.put("key", b"3")
    assert await place.store("a").get("key") == b"1"
    assert await first.clear() == 1
    assert await first.keys() == []
    assert await second.get("key") == b"2"
    assert await longer.keys() == ["key"]


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf")])
async def test_a_time_to_live_that_is_none_is_refused(store: KeyValue, ttl: float) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: store.put("key", b"", ttl=ttl),
        lambda: store.increment("key", ttl=ttl),
        lambda: store.replace("key", None, b"", ttl=ttl),
        lambda: store.append("key", b"", ttl=ttl),
        lambda: store.append("key", b"", keep=0),
    ]
    for call in calls:
        with pytest.raises(InputError):
            await call()
    assert await store.keys() == []


async def test_an_item_for_what_is_no_list_changes_nothing_of_it(place: Place, store: KeyValue) -> None:
    await store.put("key", b"here")
    with pytest.raises(ConflictError):
        await store.append("key", b"item", ttl=10.0)
    place.advance(50.0)
    assert await store.get("key") == b"here"


async def test_one_store_serves_several_event_loops(place: Place) -> None:
    shared = place.store()
    await shared.put("key", b"here")
    assert await asyncio.to_thread(lambda: asyncio.run(_read(shared))) == b"here"
    assert await shared.get("key") == b"here"


async def _read(store: KeyValue) -> bytes | None:
    return await store.get("key")


_keys = st.sampled_from(["a", "b", "ab", "é*"])
_data = st.binary(max_size=6) | st.sampled_from([b"0", b"-1", b"7", b"+7", b"07", b" 7", b"1.5", b"0x1", b"1e1"])
_ttls = st.sampled_from([None, 10.0, 100.0])
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), _keys, _data, _ttls),
        st.tuples(st.just("get"), _keys),
        st.tuples(st.just("delete"), _keys),
        st.tuples(st.just("increment"), _keys, st.integers(-9, 9), _ttls, st.sampled_from([None, 0, 5])),
        st.tuples(st.just("replace"), _keys, st.none() | _data, st.none() | _data, _ttls),
        st.tuples(st.just("append"), _keys, _data, st.sampled_from([None, 1, 2]), _ttls),
        st.tuples(st.just("items"), _keys),
        st.tuples(st.just("keys"), st.sampled_from(["", "a", "é*"])),
        st.tuples(st.just("clear"), st.sampled_from(["a", "é"])),
        st.tuples(st.just("advance"), st.sampled_from([5.0, 50.0])),
    ),
    max_size=25,
)


async def _does(place: Place, store: KeyValue, step: tuple[Any, ...]) -> Any:
    name, *given_ = step
    if name == "advance":
        return place.advance(*given_)
    names = {"put": ["ttl"], "increment": ["ttl", "limit"], "replace": ["ttl"], "append": ["keep", "ttl"]}.get(name, [])
    positional = given_[: len(given_) - len(names)]
    try:
        return await getattr(store, name)(*positional, **dict(zip(names, given_[len(positional) :], strict=True)))
    except ConflictError:
        return ConflictError


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_steps)
def test_every_kind_answers_any_sequence_of_calls_alike(redis_url: str, steps: list[tuple[Any, ...]]) -> None:
    async def answers(place: Place) -> list[Any]:
        store = place.store("t")
        return [await _does(place, store, step) for step in steps]

    async def compare() -> None:
        lite, far = SQLitePlace(), RedisPlace(redis_url)
        try:
            expected = await answers(MemoryPlace())
            assert await answers(lite) == expected
            assert await answers(far) == expected
        finally:
            lite.database.close()
            far.client.close()

    asyncio.run(compare())


async def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="redis"):
        make("rediss")


async def test_memory_forgets_the_least_recently_used_first() -> None:
    store = MemoryKeyValue(max_entries=2)
    await store.put("a", b"1")
    await store.put("b", b"2")
    await store.get("a")
    await store.put("c", b"3")
    assert await store.keys() == ["a", "c"]


async def test_memory_does_not_grow_with_keys_whose_time_is_over() -> None:
    now = 0.0
    store = MemoryKeyValue(clock=lambda: now)
    for _ in range(20_000):
        now += 1
        await store.put(f"user:{now}", b"", ttl=60)
    assert len(store._held) < 2500


async def test_sqlite_forgets_the_least_recently_used_first() -> None:
    now = 1000.0
    database = Database()
    store = SQLiteKeyValue(database, namespace="cache", max_entries=2, clock=lambda: now)
    other = SQLiteKeyValue(database, namespace="other", clock=lambda: now)
    await other.put("x", b"")
    await store.put("a", b"1")
    await store.put("b", b"2")
    now += 61  # uses are noted by the minute
    assert await store.get("a") == b"1"
    await store.append("c", b"3")
    assert await store.keys() == ["a", "c"]
    assert await other.keys() == ["x"]
    database.close()


async def test_sqlite_keys_outlast_a_process_that_was_killed(tmp_path: Path) -> None:
    program = (
        "import asyncio, os, signal, sys\n"
        "from racto.knowledge.database import Database\n"
        "from racto.knowledge.keyvalue.sqlite import SQLiteKeyValue\n"
        "async def main():\n"
        "    store = SQLiteKeyValue(Database(sys.argv[1]), namespace='t')\n"
        "    await store.put('key', b'kept', ttl=3600)\n"
        "    await store.append('list', b'item')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    path = tmp_path / "racto.db"
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", program, path)
    await asyncio.wait_for(killed.wait(), 60)
    assert killed.returncode == -signal.SIGKILL
    database = Database(path)
    store = SQLiteKeyValue(database, namespace="t")
    assert await store.get("key") == b"kept"
    assert await store.items("list") == [b"item"]
    database.close()


async def test_sqlite_leaves_no_items_behind(tmp_path: Path) -> None:
    now = 1000.0
    database = Database(tmp_path / "racto.db")
    store = SQLiteKeyValue(database, clock=lambda: now)
    for key in ("deleted", "cleared", "overwritten", "expired"):
        await store.append(key, b"item", ttl=60 if key == "expired" else None)
    await store.delete("deleted")
    await store.clear("cleared")
    await store.put("overwritten", b"value")
    now += 61
    await store.put("other", b"")
    database.close()
    with sqlite3.connect(tmp_path / "racto.db") as connection:
        assert connection.execute("SELECT count(*) FROM keyvalue_items").fetchone() == (0,)
        assert connection.execute("SELECT key FROM keyvalue ORDER BY key").fetchall() == [("other",), ("overwritten",)]
    connection.close()


async def test_redis_that_is_not_there_is_a_storage_error_without_the_password(tmp_path: Path) -> None:
    for url in (f"unix://:s3cret@{tmp_path}/none.sock", "redis://:s3cret@127.0.0.1:1/0"):
        store = RedisKeyValue(url)
        with pytest.raises(StorageError, match="cannot be used") as caught:
            await store.get("key")
        assert "s3cret" not in str(caught.value)
        await store.aclose()
    with pytest.raises(ConfigError, match="no URL"):
        await RedisKeyValue("http://example.invalid").get("key")


async def test_redis_wants_the_right_password() -> None:
    with redis_server("--requirepass", "s3cret") as url:
        stores = [RedisKeyValue(url), RedisKeyValue(url.replace("unix://", "unix://:wrong@"))]
        for store in stores:
            with pytest.raises(StorageError) as caught:
                await store.put("key", b"")
            assert "wrong" not in caught.value.message.replace("WRONGPASS", "")
            await store.aclose()
        right = RedisKeyValue(url.replace("unix://", "unix://:s3cret@"))
        await right.put("key", b"in")
        assert await right.get("key") == b"in"
        await right.aclose()


async def test_redis_takes_a_client_that_decodes_and_leaves_it_open(redis_url: str) -> None:
    import redis

    client = redis.Redis.from_url(redis_url, decode_responses=True)
    store = RedisKeyValue(client=client, namespace="decoding")
    await store.put("é", "中".encode())
    await store.append("list", b"item")
    assert await store.get("é") == "中".encode()
    assert await store.items("list") == [b"item"]
    assert await store.clear() == 2
    await store.aclose()
    assert client.ping()
    client.close()


async def test_redis_finds_its_way_back_after_the_server_closed_its_connections(redis_url: str) -> None:
    import redis

    store = RedisKeyValue(redis_url, namespace="back")
    await store.put("key", b"1")
    admin = redis.Redis.from_url(redis_url)
    admin.client_kill_filter(_type="normal", skipme=True)
    assert await store.get("key") == b"1"
    await store.aclose()
    assert await store.get("key") == b"1", "a closed store opens again"
    await store.aclose()
    admin.close()
