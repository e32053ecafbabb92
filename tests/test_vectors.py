"""The vector engine: what is put is found, whatever happens between, and codes find what exact search finds."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from racto.knowledge import vectors
from racto.knowledge.database import Database
from racto.knowledge.errors import ConflictError, CorruptError, InputError
from racto.knowledge.ranges import Ranges
from racto.knowledge.stores.sqlite import SQLiteStore
from racto.knowledge.vectors import CODED_FROM, VectorSearcher

from tests import store_crash_child

Floats = NDArray[np.float32]
RUNS = int(os.environ.get("RACTO_CRASH_RUNS", "25"))
WIDE = 128


class Engine:
    """One space in a database, with a searcher that remembers."""

    def __init__(self, database: Database, dimension: int) -> None:
        self.database, self.dimension, self.searcher = database, dimension, VectorSearcher()
        with database.writing() as connection:
            self.space = vectors.open_space(connection, "s", "e", dimension)

    def put(self, ids: list[int], given: Floats) -> None:
        """Put in one transaction."""
        with self.database.writing() as connection:
            vectors.put(connection, self.space, ids, given)

    def remove(self, ids: list[int]) -> None:
        """Remove in one transaction."""
        with self.database.writing() as connection:
            vectors.remove(connection, self.space, ids)

    def missing(self, ids: list[int]) -> list[int]:
        """Those without a vector."""
        with self.database.reading() as connection:
            return vectors.missing(connection, self.space, ids)

    def vectors_of(self, ids: list[int]) -> Floats:
        """Their vectors."""
        with self.database.reading() as connection:
            return vectors.vectors_of(connection, self.space, ids)

    def search(
        self,
        query: Floats,
        limit: int = 10,
        among: list[tuple[int, int]] | None = None,
        *,
        exact: bool = False,
        searcher: VectorSearcher | None = None,
    ) -> list[tuple[int, float]]:
        """With the searcher that remembers, or another one."""
        with self.database.reading() as connection:
            how = searcher or self.searcher
            chosen = None if among is None else Ranges(among)
            return how.search(connection, self.space, query.tolist(), limit=limit, among=chosen, exact=exact)

    def pages(self) -> int:
        """The size of the file."""
        with self.database.reading() as connection:
            return int(connection.execute("PRAGMA page_count").fetchone()[0])


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    kept = Database(tmp_path / "v.db")
    yield kept
    kept.close()


def row(given: object) -> Floats:
    return np.array(given, np.float32)


def unit(given: Floats) -> Floats:
    made: Floats = given / np.linalg.norm(given, axis=1, keepdims=True)
    return made


def directions(count: int, dimension: int, seed: int = 0) -> Floats:
    """As of a model: some twenty things vary, in every dimension at once, and the rest is noise."""
    chance = np.random.default_rng(seed)
    things = np.random.default_rng(99).standard_normal((20, dimension))
    noise = chance.standard_normal((count, dimension)) * 0.5
    return unit((chance.standard_normal((count, 20)) @ things + noise).astype(np.float32))


def nearest(ids: list[int], there: Floats, query: Floats, limit: int) -> list[int]:
    """What must be found."""
    return [ids[nth] for nth in np.argsort(-(there @ query), kind="stable")[:limit]]


def recall(found: list[tuple[int, float]], expected: list[int]) -> float:
    """Share of the expected that was found."""
    return len({one for one, _ in found} & set(expected)) / len(expected)


def test_whatever_is_put_and_removed_the_space_holds_what_a_dictionary_holds(database: Database) -> None:
    engine, chance = Engine(database, 4), np.random.default_rng(1)
    model: dict[int, Floats] = {}
    most = 0
    for step in range(40):
        ids = chance.integers(-3_000, 6_000, chance.choice([1, 3, 60, 2_500])).tolist()
        if step % 3 == 2:
            engine.remove(ids)
            model = {key: value for key, value in model.items() if key not in set(ids)}
        else:
            given = chance.standard_normal((len(ids), 4)).astype(np.float32)
            engine.put(ids, given)
            model |= dict(zip(ids, unit(given), strict=True))
        most = max(most, len(model))
        everything = sorted(model)
        assert engine.missing([*everything, 7_000, -9_000]) == [-9_000, 7_000]
        asked = chance.permutation(everything)[:50].tolist()
        assert np.abs(engine.vectors_of(asked) - np.stack([model[one] for one in asked])).max() < 1e-3
        query = model[asked[0]]
        found = engine.search(query, 20)
        assert found == engine.search(query, 20, searcher=VectorSearcher()), "what is remembered is not what is there"
        expected = dict(zip(everything, np.stack([model[one] for one in everything]) @ query, strict=True))
        assert [score for _, score in found] == pytest.approx([expected[one] for one, _ in found], abs=2e-3)
        best = sorted(expected.values(), reverse=True)[:20]
        assert [score for _, score in found] == pytest.approx(best, abs=2e-3)
    assert most > 4_000, "several blocks were filled, cut and merged"
    engine.remove(sorted(model))
    assert engine.search(query) == []
    with database.reading() as connection:
        for table in ("vectors", "vector_blocks"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


@pytest.fixture(scope="module")
def large() -> Iterator[tuple[Engine, list[int], Floats]]:
    """A space that is searched by codes; ids with gaps between."""
    there = directions(3 * CODED_FROM, WIDE)
    ids = (np.arange(len(there)) * 7 + 3).tolist()
    engine = Engine(Database(), WIDE)
    for start in range(0, len(ids), 4_000):
        engine.put(ids[start : start + 4_000], there[start : start + 4_000])
    yield engine, ids, there
    engine.database.close()


def test_codes_find_what_exact_search_finds(large: tuple[Engine, list[int], Floats]) -> None:
    engine, ids, there = large
    for limit in (1, 10, 100):
        shares = [
            recall(engine.search(query, limit), nearest(ids, there, query, limit))
            for query in directions(40, WIDE, seed=5)
        ]
        assert np.mean(shares) >= 0.98, limit
    with engine.database.reading() as connection:
        assert connection.execute("SELECT centre IS NOT NULL FROM vector_spaces").fetchone() == (1,)


def test_exact_search_misses_nothing(large: tuple[Engine, list[int], Floats]) -> None:
    engine, ids, there = large
    for query in directions(10, WIDE, seed=6):
        found = engine.search(query, 50, exact=True)
        scores = np.sort(there @ query)[::-1][:50]
        assert [score for _, score in found] == pytest.approx(scores.tolist(), abs=1e-3)
    assert len(engine.search(there[0], len(ids) + 5, exact=True)) == len(ids)


@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.95])
def test_a_filter_finds_the_nearest_of_those_it_keeps(large: tuple[Engine, list[int], Floats], share: float) -> None:
    engine, ids, there = large
    chance = random.Random(share)
    starts = [start for start in range(0, len(ids) - 10, 10) if chance.random() < share]
    among = [(ids[start] - 2, ids[start + 9] + 2) for start in starts]
    kept = [start + nth for start in starts for nth in range(10)]
    mine = [ids[nth] for nth in kept]
    among += [(10**9, 10**9 + 5), (5, 4), among[0]]
    chance.shuffle(among)
    shares = []
    for query in directions(20, WIDE, seed=7):
        expected = nearest(mine, there[kept], query, 10)
        found = engine.search(query, 10, among)
        assert {one for one, _ in found} <= set(mine)
        shares.append(recall(found, expected))
        assert recall(engine.search(query, 10, among, exact=True), expected) >= 0.9  # half precision may swap the last
    assert np.mean(shares) >= 0.97
    assert len(engine.search(there[0], 10, [])) == 0
    assert engine.search(there[0], 10, [(ids[4], ids[4])])[0][0] == ids[4]


def _cornered(given: Floats) -> Floats:
    return given + 2 * unit(np.ones((1, WIDE), np.float32))


def _in_few_dimensions(given: Floats) -> Floats:
    weights: Floats = given * np.exp(-np.arange(WIDE, dtype=np.float32) / 20)
    return weights


@pytest.mark.parametrize("shape", [_cornered, _in_few_dimensions])
def test_codes_serve_models_that_point_one_way_or_use_few_dimensions(
    database: Database, shape: Callable[[Floats], Floats]
) -> None:
    there = unit(shape(directions(CODED_FROM + 2_000, WIDE)))
    ids = list(range(len(there)))
    engine = Engine(database, WIDE)
    engine.put(ids, there)
    queries = unit(shape(directions(40, WIDE, seed=5)))
    shares = [recall(engine.search(query), nearest(ids, there, query, 10)) for query in queries]
    assert np.mean(shares) >= 0.97


def test_a_space_that_grows_large_one_by_one_is_searched_by_codes_from_then_on(database: Database) -> None:
    there = directions(CODED_FROM + 50, WIDE)
    engine = Engine(database, WIDE)
    engine.put(list(range(CODED_FROM - 1)), there[: CODED_FROM - 1])
    for nth in range(CODED_FROM - 1, len(there)):
        engine.put([nth], there[nth : nth + 1])
        ((found, score),) = engine.search(there[nth], 1)
        assert found == nth
        assert score == pytest.approx(1, abs=1e-3)
    with database.reading() as connection:
        (codes,) = connection.execute("SELECT sum(length(codes)) FROM vector_blocks").fetchone()
    assert codes == len(there) * WIDE // 8


def test_a_large_space_changes_under_a_searcher_that_remembers(large: tuple[Engine, list[int], Floats]) -> None:
    engine, ids, there = large
    new = directions(30, WIDE, seed=8)
    engine.search(new[0])
    for nth in range(30):
        place = nth * 900
        engine.put([ids[place]], new[nth : nth + 1])
        assert engine.search(new[nth], 1)[0][0] == ids[place]
        engine.remove([ids[place]])
        assert engine.search(new[nth], 1)[0][0] != ids[place]
        engine.put([ids[place] + 1], new[nth : nth + 1])  # between two others
        assert engine.search(new[nth], 1)[0][0] == ids[place] + 1
        engine.remove([ids[place] + 1])
        engine.put([ids[place]], there[place : place + 1])
    for query in directions(5, WIDE, seed=9):
        assert engine.search(query) == engine.search(query, searcher=VectorSearcher())
        assert recall(engine.search(query), nearest(ids, there, query, 10)) >= 0.9


def test_what_was_rolled_back_is_forgotten(database: Database) -> None:
    engine, there = Engine(database, 8), directions(50, 8)
    engine.put(list(range(20)), there[:20])
    engine.search(there[0])

    def change_and_fail() -> None:
        with database.writing() as connection:
            vectors.put(connection, engine.space, [1, 30], there[30:32])
            found = engine.searcher.search(connection, engine.space, there[31].tolist(), limit=1)
            assert found[0][0] == 30
            raise RuntimeError("undone")

    with pytest.raises(RuntimeError, match="undone"):
        change_and_fail()
    assert engine.search(there[1], 1)[0][0] == 1
    assert engine.missing([30]) == [30]
    engine.put([2, 30], there[40:42])  # as many changes as were undone, but others
    assert engine.search(there[41], 1)[0][0] == 30
    assert engine.search(there[40], 1)[0][0] == 2


def test_another_process_may_write(tmp_path: Path, database: Database) -> None:
    engine, there = Engine(database, 8), directions(30, 8)
    engine.put([1], there[:1])
    assert [one for one, _ in engine.search(there[0], 5)] == [1]
    other = Engine(Database(tmp_path / "v.db"), 8)
    other.put(list(range(2, 30)), there[2:30])
    other.remove([1])
    assert engine.search(there[2], 1)[0][0] == 2
    assert engine.missing([1, 2]) == [1]
    other.database.close()


def test_equals_come_in_the_order_of_their_ids(database: Database) -> None:
    engine = Engine(database, 5)
    engine.put([9, 2, 40, 7, -1], np.tile(row([1, 2, 3, 4, 5]), (5, 1)) * row([[1], [2], [0.5], [9], [3]]))
    found = engine.search(row([5, 4, 3, 2, 1]), 4)
    assert [one for one, _ in found] == [-1, 2, 7, 9]
    assert len({score for _, score in found}) == 1


def test_vectors_of_any_length_are_compared_by_their_angle(database: Database) -> None:
    engine = Engine(database, 3)
    engine.put([1, 2, 3], row([[1e30, 1e30, 0], [1e-30, 0, 0], [-3, 0, 0]]))
    found = engine.search(row([1e-35, 0, 0]))
    assert [one for one, _ in found] == [2, 1, 3]
    assert [score for _, score in found] == pytest.approx([1, 0.5**0.5, -1], abs=1e-3)


def test_of_several_vectors_for_one_id_the_last_counts(database: Database) -> None:
    engine = Engine(database, 2)
    engine.put([5, 5, 6, 5], row([[1, 0], [0, -1], [0, 1], [-1, 0]]))
    assert engine.search(row([-1, 0]))[0] == (5, 1.0)
    assert engine.vectors_of([6, 5, 6]).tolist() == [[0, 1], [-1, 0], [0, 1]]


@pytest.mark.parametrize(
    "bad",
    [[[0, 0, 0]], [[1, np.nan, 0]], [[1, np.inf, 0]], [[1, 0]], [[1, 0, 0, 0]], [1, 0, 0], [[1e39, 1, 1]]],
)
def test_vectors_that_cannot_be_compared_are_refused_and_nothing_is_kept(database: Database, bad: list[object]) -> None:
    engine = Engine(database, 3)
    given = np.array(bad, np.float64)
    if given.ndim == 2:
        with pytest.raises(InputError) as refused:
            engine.search(given[0])
        assert refused.value.hint
    with database.writing() as connection, pytest.raises(InputError):
        vectors.put(connection, engine.space, list(range(len(given))), given)  # type: ignore[arg-type]  # what callers may do
    assert engine.missing([0]) == [0]
    with pytest.raises(InputError, match="2 ids"):
        engine.put([1, 2], row([[1, 0, 0]]))


def test_asking_for_none_finds_none_and_an_empty_space_has_none(database: Database) -> None:
    engine = Engine(database, 3)
    query = row([1, 0, 0])
    assert engine.search(query) == engine.search(query, exact=True) == engine.search(query, 5, [(1, 5)]) == []
    engine.put([], np.empty((0, 3), np.float32))
    engine.put([1], query[None])
    assert engine.search(query, 0) == engine.search(query, -1) == []
    assert engine.search(query, 99) == [(1, 1.0)]
    with pytest.raises(InputError, match="no vector"):
        engine.vectors_of([1, 2])


def test_a_space_belongs_to_one_embedder(database: Database) -> None:
    engine = Engine(database, 3)
    engine.put([1], row([[1, 0, 0]]))
    with database.writing() as connection:
        assert vectors.open_space(connection, "s", "e", 3).id == engine.space.id
        for label, dimension in (("other", 3), ("e", 4)):
            with pytest.raises(ConflictError, match="embed everything again"):
                vectors.open_space(connection, "s", label, dimension)
        with pytest.raises(InputError):
            vectors.open_space(connection, "none", "e", 0)
        found = vectors.space_named(connection, "s")
        assert found is not None
        assert found.revision != engine.space.revision
        assert vectors.space_named(connection, "none") is None


def test_spaces_do_not_see_each_other_and_one_can_be_dropped(database: Database) -> None:
    one, there = Engine(database, 4), directions(20, 4)
    one.put(list(range(20)), there)
    with database.writing() as connection:
        two = vectors.open_space(connection, "two", "e", 4)
        vectors.put(connection, two, [3, 100], there[:2])
        vectors.drop_space(connection, "s")
        vectors.drop_space(connection, "s")
    assert one.search(there[0]) == []
    with database.reading() as connection:
        assert vectors.vectors_of(connection, two, [3, 100]) == pytest.approx(there[:2], abs=1e-3)
    with database.writing() as connection, pytest.raises(ConflictError, match="removed"):
        vectors.put(connection, one.space, [1], there[:1])
    again = Engine(database, 4)
    assert again.space.id != one.space.id
    assert again.search(there[0]) == []


def test_what_is_deleted_leaves_its_place_in_the_file(database: Database) -> None:
    engine, there = Engine(database, WIDE), directions(6_000, WIDE)
    engine.put(list(range(6_000)), there)
    size = engine.pages()
    for turn in range(1, 6):
        engine.remove(list(range((turn - 1) * 6_000, turn * 6_000)))
        engine.put(list(range(turn * 6_000, (turn + 1) * 6_000)), there)
    assert engine.pages() <= size * 1.05
    for turn in range(5):
        engine.put(list(range(5 * 6_000, 6 * 6_000)), directions(6_000, WIDE, seed=turn))
    assert engine.pages() <= size * 2.1, "what is replaced within a transaction is there twice until it ends"


def test_threads_search_while_another_writes(database: Database) -> None:
    engine, there = Engine(database, 16), directions(4_000, 16)
    engine.put([0], there[:1])
    written, failures, stop = 1, [], threading.Event()

    def look() -> None:
        chance = random.Random(threading.get_ident())
        while not stop.is_set():
            known = written
            nth = chance.randrange(known)
            found = engine.search(there[nth], 3)
            if nth not in {one for one, _ in found}:
                failures.append((nth, known, found))

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for start in range(1, 4_000, 100):
        part = there[start : start + 100]
        engine.put(list(range(start, start + len(part))), part)
        written = start + len(part)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_vector_that_is_lost_is_a_damaged_database(database: Database) -> None:
    engine = Engine(database, 4)
    engine.put([1, 2], directions(2, 4))
    with database.writing() as connection:
        connection.execute("DELETE FROM vectors WHERE id = (SELECT min(id) FROM vectors)")
    with pytest.raises(CorruptError, match="damaged"):
        engine.search(directions(1, 4)[0])


def test_a_killed_store_keeps_every_acknowledged_step_and_no_half_one(tmp_path: Path) -> None:
    chance = random.Random(3)
    steps = []
    for run in range(max(4, RUNS // 4)):
        path = tmp_path / f"{run}.db"
        command = [sys.executable, "-m", "tests.store_crash_child", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as child:
            assert child.stdout is not None
            acknowledged = 0
            for _ in range(chance.randrange(1, 40)):
                acknowledged = int(child.stdout.readline())
            child.kill()
            rest = [int(line) for line in child.stdout.read().split()]
        store = SQLiteStore(path)
        found = {one.chunk.chunk_id: one for one in store.search(store_crash_child.numbers(1), 10_000)}
        done = max([acknowledged, *rest])
        assert set(found) in (store_crash_child.expected(done), store_crash_child.expected(done + 1))
        assert store.count() == len(found)
        for chunk_id in chance.sample(sorted(found), 5):
            step, nth = map(int, chunk_id.split("-"))
            (best,) = store.search(store_crash_child.numbers(1_000 * step + nth), 1)
            assert best.chunk.chunk_id == chunk_id
            assert best.score == pytest.approx(1, abs=2e-3)
        store.close()
        steps.append(done)
    print(f"{len(steps)} killed after {min(steps)} to {max(steps)} steps")
    assert len(set(steps)) > 2
