"""Pinecone's control and data API 2026-07, as far as its SDK and our store use it; limits and filter operators as documented.

Where the documentation leaves open what a missing field means for `$ne` and `$nin`, this server takes it as false: the store may not rely on it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import RefusedError, Request

API_KEY = "pc-test-key"
_ORDER = {"$gt": np.greater, "$gte": np.greater_equal, "$lt": np.less, "$lte": np.less_equal}


class Pinecone:
    """A project of indexes; each has its own host, which here is a path.

    :param dimensions: Name of each index → how long its vectors are.
    :param metric: What they compare by: `cosine`, `dotproduct` or `euclidean`.
    """

    def __init__(self, dimensions: Mapping[str, int], metric: str = "cosine") -> None:
        self.indexes = {name: _Index(dimension, metric) for name, dimension in dimensions.items()}
        self.requests: list[str] = []

    def answer(self, request: Request, base: str) -> tuple[int, Any]:
        """See `Service.answer`."""
        if request.headers.get("api-key") != API_KEY:
            raise _refused(401, "Invalid API Key")
        if request.headers.get("x-pinecone-api-version") != "2026-07":
            raise _refused(400, "unknown API version")
        self.requests.append(f"{request.method} {request.path}")
        _, first, name, *rest = request.path.split("/")
        index = self.indexes.get(name)
        if index is None:
            raise _refused(404, f"Resource {name} not found")
        if first == "indexes" and not rest:
            return 200, index.described(name, f"{base}/hosts/{name}")
        return 200, index.answer(request, "/".join(rest))


class _Index:
    def __init__(self, dimension: int, metric: str) -> None:
        self.dimension = dimension
        self.metric = metric
        self.namespaces: dict[str, dict[str, dict[str, Any]]] = {}

    def answer(self, request: Request, path: str) -> dict[str, Any]:
        match request.method, path:
            case "POST", "vectors/upsert":
                return self._upsert(_body(request, {"vectors", "namespace"}))
            case "POST", "query":
                known = {"topK", "vector", "filter", "namespace", "includeValues", "includeMetadata"}
                return self._query(_body(request, known))
            case "GET", "vectors/fetch":
                return self._fetch(request.query)
            case "POST", "vectors/delete":
                return self._delete(_body(request, {"ids", "deleteAll", "namespace"}))
            case "POST", "describe_index_stats":
                return self._stats(_body(request, set()))
        raise _refused(404, f"no such path: {request.method} {request.path}")

    def described(self, name: str, host: str) -> dict[str, Any]:
        field = {"type": "dense_vector", "dimension": self.dimension, "metric": self.metric}
        return {
            "name": name,
            "host": host,
            "status": {"ready": True, "state": "Ready"},
            "schema": {"fields": {"_values": field}},
            "deployment": {"deployment_type": "managed", "cloud": "aws", "region": "us-east-1"},
            "deletion_protection": "disabled",
        }

    def _upsert(self, body: dict[str, Any]) -> dict[str, Any]:
        vectors = body.get("vectors")
        if not isinstance(vectors, list) or not 1 <= len(vectors) <= 1000:
            raise _refused(400, "a request upserts 1 to 1000 vectors")
        if len(json.dumps(body)) > 2_000_000:
            raise _refused(413, "the request is larger than 2 MB")
        for vector in vectors:
            self._check_vector(vector)
        kept = self.namespaces.setdefault(body.get("namespace", ""), {})
        kept.update({vector["id"]: vector for vector in vectors})
        return {"upsertedCount": len(vectors)}

    def _check_vector(self, vector: Any) -> None:
        if not isinstance(vector, dict) or set(vector) - {"id", "values", "metadata"}:
            raise _refused(400, f"not a vector: {vector!r:.80}")
        if not isinstance(vector["id"], str) or not vector["id"].isascii() or not 1 <= len(vector["id"]) <= 512:
            raise _refused(400, "an id is 1 to 512 ASCII characters")
        self._check_values(vector["values"])
        metadata = vector.get("metadata", {})
        if len(json.dumps(metadata).encode()) > 40_960:
            raise _refused(400, "metadata size is above the limit of 40960 bytes")
        for name, value in metadata.items():
            listed = isinstance(value, list) and all(isinstance(one, str) for one in value)
            if name.startswith("$") or not (isinstance(value, str | int | float) or listed):
                raise _refused(400, f"metadata value must be a string, number, boolean or list of strings: {name}")

    def _check_values(self, values: Any) -> None:
        if not isinstance(values, list) or len(values) != self.dimension:
            raise _refused(400, f"Vector dimension does not match the dimension of the index {self.dimension}")
        if not any(values):
            raise _refused(400, "Dense vectors must contain at least one non-zero value")

    def _query(self, body: dict[str, Any]) -> dict[str, Any]:
        top_k = body.get("topK")
        if not isinstance(top_k, int) or not 1 <= top_k <= 10_000:
            raise _refused(400, "topK is 1 to 10000")
        self._check_values(body.get("vector"))
        wanted = body.get("filter") or {}
        _check_filter(wanted)
        kept = self.namespaces.get(body.get("namespace", ""), {})
        found = [vector for vector in kept.values() if passes(wanted, vector.get("metadata", {}))]
        scored = sorted(
            ((self._score(np.asarray(body["vector"]), np.asarray(vector["values"])), vector) for vector in found),
            key=lambda pair: pair[0],
            reverse=self.metric != "euclidean",
        )
        matches = [
            {"id": vector["id"], "score": score, "values": []}
            | ({"metadata": vector.get("metadata", {})} if body.get("includeMetadata") else {})
            for score, vector in scored[:top_k]
        ]
        answer = {"matches": matches, "namespace": body.get("namespace", ""), "usage": {"readUnits": 1}}
        if len(json.dumps(answer)) > 4_000_000:
            raise _refused(400, "the result is larger than 4 MB")
        return answer

    def _score(self, query: Any, values: Any) -> float:
        if self.metric == "euclidean":
            return float(np.sum((query - values) ** 2))
        product = float(query @ values)
        return (
            product if self.metric == "dotproduct" else product / float(np.linalg.norm(query) * np.linalg.norm(values))
        )

    def _fetch(self, query: Mapping[str, list[str]]) -> dict[str, Any]:
        ids = query.get("ids", [])
        if set(query) - {"ids", "namespace"} or not 1 <= len(ids) <= 1000:
            raise _refused(400, "a request fetches 1 to 1000 ids")
        namespace = query.get("namespace", [""])[0]
        kept = self.namespaces.get(namespace, {})
        found = {chunk_id: kept[chunk_id] for chunk_id in ids if chunk_id in kept}
        return {"vectors": found, "namespace": namespace, "usage": {"readUnits": 1}}

    def _delete(self, body: dict[str, Any]) -> dict[str, Any]:
        namespace = body.get("namespace", "")
        if ("ids" in body) == ("deleteAll" in body) or len(body.get("ids", [])) > 1000:
            raise _refused(400, "delete either up to 1000 ids or all")
        if namespace not in self.namespaces:
            raise _refused(404, "Namespace not found")
        for chunk_id in body.get("ids", []):
            self.namespaces[namespace].pop(chunk_id, None)
        if body.get("deleteAll"):
            del self.namespaces[namespace]
        return {}

    def _stats(self, _: dict[str, Any]) -> dict[str, Any]:
        counts = {name: {"vectorCount": len(kept)} for name, kept in self.namespaces.items()}
        total = sum(len(kept) for kept in self.namespaces.values())
        return {
            "namespaces": counts,
            "dimension": self.dimension,
            "indexFullness": 0,
            "totalVectorCount": total,
            "metric": self.metric,
            "vectorType": "dense",
        }


def passes(wanted: dict[str, Any], metadata: dict[str, Any]) -> bool:
    """Whether metadata pass a filter that was checked."""
    for key, said in wanted.items():
        if key in ("$and", "$or"):
            if not (all if key == "$and" else any)(passes(part, metadata) for part in said):
                return False
        elif not all(_holds(operator, metadata.get(key), value) for operator, value in said.items()):
            return False
    return True


def _holds(operator: str, found: Any, value: Any) -> bool:
    if operator == "$exists":
        return (found is not None) is value
    if found is None:
        return False
    if operator in _ORDER:
        return isinstance(found, int | float) and not isinstance(found, bool) and bool(_ORDER[operator](found, value))
    equal = any(type(found) is type(one) and found == one for one in (value if isinstance(value, list) else [value]))
    return bool(equal) == (operator in ("$eq", "$in"))


def _check_filter(wanted: Any) -> None:
    if not isinstance(wanted, dict):
        raise _refused(400, "a filter is an object")
    for key, said in wanted.items():
        if key in ("$and", "$or"):
            if not isinstance(said, list) or not said:
                raise _refused(400, f"{key} takes a list of filters")
            for part in said:
                _check_filter(part)
        elif key.startswith("$") or not isinstance(said, dict) or not said:
            raise _refused(400, f"not a condition: {key}")
        else:
            for operator, value in said.items():
                _check_condition(operator, value)


def _check_condition(operator: str, value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    right = {
        "$eq": isinstance(value, str | int | float),
        "$ne": isinstance(value, str | int | float),
        "$in": isinstance(value, list) and bool(value) and all(isinstance(one, str | int | float) for one in value),
        "$nin": isinstance(value, list) and bool(value) and all(isinstance(one, str | int | float) for one in value),
        "$exists": isinstance(value, bool),
    } | dict.fromkeys(_ORDER, number)
    if not right.get(operator, False):
        raise _refused(400, f"the {operator} operator does not take {value!r:.80}")


def _body(request: Request, known: set[str]) -> dict[str, Any]:
    body = request.body if request.body is not None else {}
    if not isinstance(body, dict) or set(body) - known:
        raise _refused(400, f"unknown fields: {sorted(set(body) - known)}")
    return body


def _refused(status: int, message: str) -> RefusedError:
    codes = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 413: "PAYLOAD_TOO_LARGE"}
    return RefusedError(status, {"status": status, "error": {"code": codes[status], "message": message}})
