"""A damaged cache heals: what it held can be computed again."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from har_core.analysis.features import FeatureCache
from har_core.errors import DatasetError
from har_core.model.manifest import read_manifest
from har_core.scan.cache import ScanCache
from har_core.storage.cache import load_arrays, store_arrays
from har_core.storage.database import CacheDatabase

SCHEMA = ("CREATE TABLE IF NOT EXISTS words (word TEXT PRIMARY KEY, length INTEGER)",)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "cache" / "words.sqlite"
    with CacheDatabase(path, SCHEMA) as cache, cache._db:
        rows = [(f"word {i}", i) for i in range(20_000)]
        cache._db.executemany("INSERT INTO words VALUES (?, ?)", rows)
    return path


def count(path: Path) -> int:
    with CacheDatabase(path, SCHEMA) as cache:
        return len(cache._db.execute("SELECT length FROM words ORDER BY word").fetchall())


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + bytes(84) + b"?" * 99])
def test_a_file_that_is_no_database_is_replaced(database: Path, content: bytes) -> None:
    assert count(database) == 20_000
    database.write_bytes(content)
    assert count(database) == 0


def test_damage_that_shows_later_removes_the_file_and_says_so(database: Path) -> None:
    content = bytearray(database.read_bytes())
    content[8192:-4096] = b"\xff" * len(content[8192:-4096])
    database.write_bytes(content)
    with pytest.raises(DatasetError, match=r"was damaged .* has been removed\. Start again"):
        count(database)
    assert count(database) == 0


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(DatasetError, match=r"Cannot use the cache .*HAR_CACHE_DIR"):
        CacheDatabase(tmp_path / "cache" / "words.sqlite", SCHEMA)


def test_what_may_forget_is_empty_where_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with CacheDatabase(tmp_path / "cache" / "words.sqlite", SCHEMA, may_forget=True) as cache:
        assert cache._db.execute("SELECT count(*) FROM words").fetchone() == (0,)


def test_each_question_is_answered_for_itself_also_while_somebody_writes(tmp_path: Path) -> None:
    path = tmp_path / "sums.sqlite"
    schema = ("CREATE TABLE IF NOT EXISTS sums (sha256 TEXT PRIMARY KEY, n INTEGER)",)
    with CacheDatabase(path, schema) as writer:
        with writer._db:
            writer._db.executemany("INSERT INTO sums VALUES (?, ?)", [("a", 1), ("b", 2)])
        writer._db.execute("BEGIN EXCLUSIVE")
        with CacheDatabase(path, schema) as cache:
            assert cache.rows_of(["a", "a", "c"], "sums", ["sha256", "n"]) == [("a", 1)]
            assert cache.rows_of(["b"], "sums", ["n"]) == [(2,)]


def test_a_second_writer_waits_for_the_first(tmp_path: Path) -> None:
    path = tmp_path / "words.sqlite"

    def write() -> None:
        with CacheDatabase(path, SCHEMA) as second, second._db:
            second._db.execute("INSERT INTO words VALUES ('a', 1)")

    with CacheDatabase(path, SCHEMA) as first, ThreadPoolExecutor(1) as pool:
        first._db.execute("BEGIN IMMEDIATE")
        waiting = pool.submit(write)
        time.sleep(0.05)
        first._db.rollback()
        waiting.result()
    assert count(path) == 1


@pytest.mark.parametrize(("waiting", "kept"), [(b"", 20_000), (b"not written back yet", 0)])
def test_what_may_forget_begins_with_what_a_file_holds_that_may_only_be_read(
    database: Path, monkeypatch: pytest.MonkeyPatch, waiting: bytes, kept: int
) -> None:
    database.with_name("words.sqlite-wal").write_bytes(waiting)
    before = database.read_bytes()
    # The superuser may write what its mode forbids.
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with CacheDatabase(database, SCHEMA, may_forget=True) as cache, cache._db:
        assert cache._db.execute("SELECT count(*) FROM words").fetchone() == (kept,)
        cache._db.execute("INSERT INTO words VALUES ('another', 1)")
    assert database.read_bytes() == before


def test_the_programs_own_mistakes_remove_nothing(database: Path) -> None:
    with pytest.raises(DatasetError, match="Cannot use the cache"):
        CacheDatabase(database, ("CREATE NOTHING",))
    with (
        pytest.raises(DatasetError, match="Cannot go on"),
        CacheDatabase(database, SCHEMA) as cache,
    ):
        cache._db.execute("SELECT nothing FROM nowhere")
    assert count(database) == 20_000


def test_scan_and_feature_caches_heal(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    manifest = read_manifest(tiny_models / "tiny")
    with FeatureCache(manifest) as features, ScanCache() as scan:
        features.store(["A"], np.ones((1, 3)), np.ones((1, 3)) / 3)
        paths = (features.path, scan.path)
    for path in paths:
        path.write_bytes(b"no database")
    with FeatureCache(manifest) as features, ScanCache() as scan:
        assert features.known() == set()
        assert scan.load_pairs("none") is None
        features.store(["A"], np.ones((1, 3)), np.ones((1, 3)) / 3)
        assert features.known() == {"A"}


def test_arrays_with_any_damaged_byte_are_none_or_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    rng = np.random.default_rng(0)
    stored = {"a": rng.integers(0, 4, 500), "b": rng.random(40)}
    store_arrays(path, stored)
    whole = path.read_bytes()
    assert load_arrays(path) is not None
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        loaded = load_arrays(path)
        if loaded is not None and loaded.keys() == stored.keys():
            assert all(np.array_equal(loaded[name], stored[name]) for name in stored)
