"""PostgreSQL with pgvector: names are quoted, what was acknowledged stays, and no message tells a password."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
from racto.knowledge.errors import ConfigError, InputError, StorageError
from racto.knowledge.stores.pgvector import PGVectorStore

from tests import store_backends
from tests.pgvector_child import BATCH
from tests.store_contract import chunk, chunks, ids, vector

KILLS = 5


@pytest.fixture(scope="module")
def url() -> str:
    return store_backends.postgres()


def test_a_killed_client_leaves_every_acknowledged_batch_and_no_half_one(url: str) -> None:
    chance = random.Random(4)
    acknowledged = 0
    for _ in range(KILLS):
        command = [sys.executable, "-m", "tests.pgvector_child", url, "killed", str(acknowledged)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        for _ in range(chance.randint(1, 60)):
            acknowledged = int(child.stdout.readline()) + 1
        child.kill()
        for line in child.stdout:  # what it said before it died also counts
            acknowledged = int(line) + 1
        child.stdout.close()
        child.wait(timeout=10)
        with closing(PGVectorStore(url, table="killed")) as store:
            found = store.search(vector(1), 1_000_000)
            whole = Counter(each.chunk.metadata.extra["batch"] for each in found)
            assert set(whole.values()) == {BATCH}, "a batch is there as a whole or not at all"
            assert set(range(acknowledged)) <= set(whole)
            assert len(whole) <= acknowledged + 1, "one batch may have been on its way"
    assert acknowledged > KILLS


@pytest.mark.parametrize("table", ['"; DROP TABLE safe; --', "Über Größe", "select", "UPPER", "%s{table}{0}", "a" * 60])
def test_any_name_is_only_a_name(url: str, table: str) -> None:
    with closing(PGVectorStore(url, table="safe")) as safe, closing(PGVectorStore(url, table=table)) as store:
        safe.add([chunk("safe", 1)])
        store.add(chunks(2))
        assert (store.count(), ids(store, 1, 1, {"nr": 1}), safe.count()) == (2, ["c1"], 1)
        store.delete(["c0"])
        store.clear()
        assert (store.count(), safe.count()) == (0, 1)


def test_a_table_may_be_in_a_schema(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute('CREATE SCHEMA "My docs"')
        with closing(PGVectorStore(url, table="My docs.chunks")) as store:
            store.add(chunks(3))
        found = connection.execute('SELECT count(*) FROM "My docs".chunks').fetchone()
    assert found == (3,)


def test_filters_are_values_and_never_sql(url: str) -> None:
    evil = "x' OR true; DROP TABLE evil; --"
    with closing(PGVectorStore(url, table="evil")) as store:
        store.add([chunk("a", 1, author=evil), chunk("b", 2, author="x", **{evil: 1})])
        assert ids(store, 1, filters={"author": evil}) == ["a"]
        assert ids(store, 1, filters={evil: 1}) == ["b"]
        assert ids(store, 1, filters={"author": {"gt": evil}}) == []
        assert store.count() == 2


def test_a_password_is_in_no_message() -> None:
    for dsn in (
        "postgresql://me:tomato-7@127.0.0.1:1/db",
        "host=127.0.0.1 port=1 password=tomato-7",
        "postgresql://me:tomato-7@127.0.0.1:1/db?nonsense=tomato-7",
    ):
        with pytest.raises(StorageError) as caught:
            PGVectorStore(dsn).count()
        assert "tomato-7" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_the_dsn_may_be_called_connection_string_and_must_be_there(url: str) -> None:
    with closing(PGVectorStore(connection_string=url, table="named")) as store:
        store.add(chunks(1))
        assert store.count() == 1
    with pytest.raises(ConfigError, match="dsn"):
        PGVectorStore()


def test_several_processes_may_make_the_same_table_at_once(url: str) -> None:
    stores = [PGVectorStore(url, table="race") for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: stores[number].add([chunk(f"c{number}", number)]), range(6)))
    assert [store.count() for store in stores] == [6] * 6
    for store in stores:
        store.close()


def test_a_line_that_broke_is_opened_again(url: str) -> None:
    with closing(PGVectorStore(url, table="broken")) as store:
        store.add(chunks(2))
        with psycopg.connect(url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid != pg_backend_pid()")
        with pytest.raises(StorageError):
            store.count()
        assert store.count() == 2


def test_the_dimension_of_the_table_holds_and_a_given_one_before_there_is_a_table(url: str) -> None:
    with closing(PGVectorStore(url, table="given", dimension=3)) as store:
        with pytest.raises(InputError, match="3"):
            store.add(chunks(1))
        assert store.search([1, 2, 3]) == []
        store.clear()
    with closing(PGVectorStore(url, table="kept")) as store:
        store.add(chunks(1))
    with closing(PGVectorStore(url, table="kept", dimension=3)) as store, pytest.raises(InputError, match="6"):
        store.search([1, 2, 3])
