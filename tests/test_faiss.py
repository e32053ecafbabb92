"""FAISS: what is saved is whole or the save before it, and nothing in its files runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from racto.knowledge.errors import ConfigError, CorruptError, StorageError
from racto.knowledge.stores.faiss import FAISSStore

from tests.store_contract import chunk, chunks, ids, nearest, vector


def _saved(path: Path, count: int) -> FAISSStore:
    store = FAISSStore()
    store.add(chunks(count))
    store.save(path)
    return store


def test_what_was_saved_is_loaded_with_its_ids_and_metadata(tmp_path: Path) -> None:
    before = _saved(tmp_path / "kept", 20)
    before.delete(["c5"])
    before.add([chunk("c6", 40, even=True)])
    before.save(tmp_path / "kept")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["kept.chunks", "kept.index"]
    after = FAISSStore()
    after.load(tmp_path / "kept")
    assert after.count() == 19
    assert after.search(vector(40), 19) == before.search(vector(40), 19)
    assert ids(after, 2, 30, {"even": True}) == ids(before, 2, 30, {"even": True})
    after.add([chunk("new", 50)])
    assert ids(after, 50, 1) == ["new"]
    assert after.count() == 20


def test_a_store_with_an_index_path_opens_what_is_there(tmp_path: Path) -> None:
    store = FAISSStore(index_path=str(tmp_path / "faiss.index"), dimension=6)
    assert store.count() == 0
    store.add(chunks(3))
    store.save()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["faiss.chunks", "faiss.index"]
    assert ids(FAISSStore(index_path=tmp_path / "faiss.index"), 1, 1) == ["c1"]


def test_an_empty_store_is_saved_and_loaded(tmp_path: Path) -> None:
    _saved(tmp_path / "a", 3)
    FAISSStore().save(tmp_path / "a")
    store = FAISSStore(index_path=tmp_path / "a")
    assert (store.count(), ids(store, 1)) == (0, [])


@pytest.mark.parametrize("renames", [0, 1])
def test_a_save_that_is_killed_leaves_this_save_or_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    _saved(tmp_path / "kept", 3)
    done = 0
    rename = Path.replace

    def killed(self: Path, target: Path) -> Path:
        nonlocal done
        if done == renames:
            raise KeyboardInterrupt
        done += 1
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            _saved(tmp_path / "kept", 7)
    store = FAISSStore(index_path=tmp_path / "kept")
    assert store.count() == (3, 7)[renames]
    assert ids(store, 2, 9) == nearest(chunks((3, 7)[renames]), 2, 9)
    store.add([chunk("later", 30)])
    store.save()
    assert FAISSStore(index_path=tmp_path / "kept").count() == store.count()


def test_a_damaged_file_is_said_to_be_damaged(tmp_path: Path) -> None:
    whole = _saved(tmp_path / "kept", 5)
    for name, kept in (("kept.index", -9), ("kept.chunks", 500), ("kept.chunks", -1), ("kept.chunks", 0)):
        whole.save(tmp_path / "kept")
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[:kept])
        with pytest.raises(CorruptError, match="kept"):
            FAISSStore(index_path=tmp_path / "kept")
    whole.save(tmp_path / "kept")
    lines = (tmp_path / "kept.chunks").read_bytes().split(b"\n")
    for wrong in (lines[:-1], [*lines, lines[-1]]):
        (tmp_path / "kept.chunks").write_bytes(b"\n".join(wrong))
        with pytest.raises(CorruptError, match="kept"):
            FAISSStore(index_path=tmp_path / "kept")


def test_an_index_of_another_save_is_not_taken(tmp_path: Path) -> None:
    _saved(tmp_path / "one", 4)
    _saved(tmp_path / "two", 5)
    (tmp_path / "two.index").replace(tmp_path / "one.index")
    with pytest.raises(CorruptError):
        FAISSStore().load(tmp_path / "one")


def test_what_is_not_there_or_has_no_place_is_explained(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        FAISSStore().load(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="path"):
        FAISSStore().save()
    with pytest.raises(ValueError, match="flat_ip"):
        FAISSStore(index_type="hnsw")


def test_files_are_data_and_nothing_in_them_runs(tmp_path: Path) -> None:
    _saved(tmp_path / "kept", 2)
    lines = (tmp_path / "kept.chunks").read_text().split("\n")
    assert [type(json.loads(line)) for line in lines] == [dict, list, list]
    harm = tmp_path / "harm"
    pickled = b"cos\nmkdir\n(V" + os.fsencode(harm) + b"\ntR."
    (tmp_path / "kept.chunks").write_bytes(pickled)
    with pytest.raises(CorruptError):
        FAISSStore().load(tmp_path / "kept")
    assert not harm.exists()
