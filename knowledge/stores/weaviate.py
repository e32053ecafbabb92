"""Chunks in Weaviate, over its REST and GraphQL APIs.

Not through `weaviate-client`: that needs a second address for gRPC, which the constructor has no word for, and holds back protobuf.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ..chunks import Chunk
from ..errors import ConfigError, ConflictError, StorageError, unknown_name
from .adapter import Dialect, StoreAdapter
from .filtering import Node
from .records import Row, unpacked, uuid_of
from .weaviate_server import WeaviateServer

if TYPE_CHECKING:
    from httpx2 import Client, Response
    from numpy.typing import NDArray

Where = dict[str, Any]

_METRICS = {"cosine": "cosine", "l2": "l2-squared", "l2-squared": "l2-squared", "ip": "dot", "dot": "dot"}
_SIGNS = {"gt": "GreaterThan", "gte": "GreaterThanEqual", "lt": "LessThan", "lte": "LessThanEqual"}
_CLASS = re.compile(r"[A-Z][_0-9A-Za-z]{0,200}")
_LONGEST_TEXT = 1_000
_NOBODY = "="
_SECONDS = 60.0


class _Where(Dialect[Where]):
    """Weaviate's filters: what is equal as one of the `facets`, numbers in properties of their own. Of `not` only new versions know."""

    def within(self, key: str, values: list[str] | list[float]) -> Where | None:
        texts = [value for value in values if isinstance(value, str)]
        if any(len(text) > _LONGEST_TEXT for text in texts):
            return None
        if texts:
            return _among([_facet(key, text) for text in texts])
        return self.some([{"path": [key], "operator": "Equal", "valueNumber": value} for value in values])

    def ordered(self, key: str, operator: str, value: str | float) -> Where | None:
        return None if isinstance(value, str) else {"path": [key], "operator": _SIGNS[operator], "valueNumber": value}

    def every(self, parts: list[Where]) -> Where:
        return {"operator": "And", "operands": parts}

    def some(self, parts: list[Where]) -> Where:
        return parts[0] if len(parts) == 1 else {"operator": "Or", "operands": parts}

    def negated(self, part: Where) -> Where | None:
        return None


class WeaviateStore(StoreAdapter[Where]):
    """One class of a Weaviate server (1.20 or later).

    :param class_name: Begins with a capital letter.
    :param url: `http(s)://host:port`; `None` starts the program `weaviate` of this machine, until `close` (`weaviate_server.py`).
    :param api_key: Sent as a bearer token.
    :param additional_headers: Sent with every request.
    :param distance_metric: `cosine`; `l2` (`l2-squared`), and a score is the Euclidean distance with a minus; `ip` (`dot`), and it is
        the inner product.
    :param batch_size: Chunks in one request.
    """

    most: ClassVar[int] = 10_000

    def __init__(
        self,
        class_name: str = "RactoChunk",
        *,
        url: str | None = None,
        api_key: str | None = None,
        additional_headers: Mapping[str, str] | None = None,
        distance_metric: str = "cosine",
        batch_size: int = 100,
    ) -> None:
        if distance_metric not in _METRICS:
            raise unknown_name("distance metric", distance_metric, _METRICS)
        if not _CLASS.fullmatch(class_name):
            raise ConfigError(
                f"{class_name!r} is no name of a class.", "Use a capital letter, then letters, digits and _."
            )
        headers = dict(additional_headers or {})
        super().__init__("Weaviate", _Where(), batch_size=batch_size, secrets=[api_key, *headers.values()])
        self._class = class_name
        self._url = url
        self._headers = headers | ({"authorization": f"Bearer {api_key}"} if api_key else {})
        self._metric = _METRICS[distance_metric]
        self._known: int | None = None
        self._client: Client | None = None
        self._server: WeaviateServer | None = None

    def close(self) -> None:
        """See `BaseVectorStore.close`."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None
            if self._server is not None:
                self._server.stop()
                self._server = None

    def _failures(self) -> tuple[type[Exception], ...]:
        import httpx2

        return (httpx2.HTTPError, httpx2.InvalidURL, OSError)

    def _opened(self) -> Client:
        import httpx2

        if self._client is None:
            if not self._url:
                self._server = WeaviateServer()
            url = self._server.url if self._server else self._url or ""
            # What was started here is reached directly, whatever proxy the environment names.
            self._client = httpx2.Client(
                base_url=url, headers=self._headers, timeout=_SECONDS, trust_env=self._server is None
            )
        return self._client

    def _sent(self, method: str, path: str, body: Any = None, allowed: Sequence[int] = ()) -> Response:
        """
        :param allowed: Statuses that are an answer, besides those below 400.
        :raises StorageError: the server refuses.
        """
        response = self._opened().request(method, f"/v1/{path}", json=body)
        if response.status_code >= 400 and response.status_code not in allowed:
            hint = "Check the url and the key." if response.status_code in (401, 403) else "Its log may say more."
            raise StorageError(
                f"Weaviate refused with status {response.status_code} ({self._shown(response.text)}).", hint
            )
        return response

    def _asked_for(self, query: str) -> Any:
        """What a GraphQL query gives for the class.

        :raises StorageError: it gives errors.
        """
        answer = self._sent("POST", "graphql", {"query": query}).json()
        if answer.get("errors"):
            said = "; ".join(str(error.get("message")) for error in answer["errors"])
            raise StorageError(f"Weaviate refused ({self._shown(said)}).", "Its log may say more.")
        ((_, classes),) = answer["data"].items()
        return classes[self._class]

    def _numbers(self) -> set[str] | None:
        """The numeric properties of the class; `None` when there is no class.

        :raises ConflictError: it compares by another distance.
        """
        response = self._sent("GET", f"schema/{self._class}", allowed=[404])
        if response.status_code == 404:
            self._known = None
            return None
        found = response.json()
        metric = found.get("vectorIndexConfig", {}).get("distance", "cosine")
        if metric != self._metric:
            hint = f"Open it with distance_metric={metric!r}, or take another class."
            raise ConflictError(f"The class {self._class!r} compares by {metric}.", hint)
        return {each["name"] for each in found.get("properties") or () if each["dataType"] == ["number"]}

    def _dimension(self) -> int | None:
        if self._numbers() is not None and self._known is None:
            query = f"{{ Get {{ {self._class}(limit: 1) {{ _additional {{ vector }} }} }} }}"
            for found in self._asked_for(query):
                self._known = len(found["_additional"]["vector"])
        return self._known

    def _make(self) -> None:
        text = {"dataType": ["text"], "indexFilterable": False, "indexSearchable": False}
        whole = {"dataType": ["text[]"], "tokenization": "field", "indexFilterable": True, "indexSearchable": False}
        properties = [{"name": "record", **text}, {"name": "facets", **whole}]
        about = {"class": self._class, "vectorizer": "none", "properties": properties}
        self._sent("POST", "schema", {**about, "vectorIndexConfig": {"distance": self._metric}})

    def _put(self, rows: Sequence[Row]) -> None:
        known = self._numbers()
        if known is None:
            self._make()
        for name in sorted({key for row in rows for key, value in row.fields.items() if isinstance(value, float)}):
            if name not in (known or ()):
                self._sent("POST", f"schema/{self._class}/properties", {"name": name, "dataType": ["number"]})
        objects = [
            {
                "class": self._class,
                "id": uuid_of(row.chunk_id),
                "vector": row.vector.tolist(),
                "properties": {"record": row.record, **_properties(row.fields)},
            }
            for row in rows
        ]
        for kept in self._sent("POST", "batch/objects", {"objects": objects}).json():
            if (errors := (kept.get("result") or {}).get("errors")) is not None:
                raise StorageError(
                    f"Weaviate did not keep a chunk ({self._shown(json.dumps(errors))}).", "Add it again."
                )

    def _nearest(
        self, vector: NDArray[Any], limit: int, native: Where | None, node: Node | None
    ) -> list[tuple[Chunk, float]]:
        numbers = self._numbers()
        if numbers is None:
            return []
        where = f", where: {_graphql(_known_fields(native, numbers))}" if native else ""
        found = self._asked_for(
            f"{{ Get {{ {self._class}(nearVector: {{vector: {_graphql(vector.tolist())}}}, limit: {limit}{where})"
            " { record _additional { distance } } } }"
        )
        return [(unpacked(each["record"]), self._score(each["_additional"]["distance"])) for each in found]

    def _score(self, distance: float) -> float:
        if self._metric == "l2-squared":
            return -math.sqrt(max(0.0, distance))
        return 1 - distance if self._metric == "cosine" else -distance

    def _remove(self, chunk_ids: Sequence[str]) -> None:
        if self._numbers() is not None:
            ids = [uuid_of(chunk_id) for chunk_id in chunk_ids]
            where = {"path": ["id"], "operator": "ContainsAny", "valueTextArray": ids}
            self._sent("DELETE", "batch/objects", {"match": {"class": self._class, "where": where}})

    def _drop(self) -> None:
        self._sent("DELETE", f"schema/{self._class}", allowed=[404])
        self._known = None

    def _size(self) -> int:
        if self._numbers() is None:
            return 0
        (found,) = self._asked_for(f"{{ Aggregate {{ {self._class} {{ meta {{ count }} }} }} }}")
        return int(found["meta"]["count"])


def _facet(key: str, text: str) -> str:
    """A text as one word of the index; the last character keeps white space from being trimmed."""
    return f"{key}={text};"


def _among(facets: list[str]) -> Where:
    return {"path": ["facets"], "operator": "ContainsAny", "valueText": facets}


def _properties(fields: dict[str, str | float]) -> dict[str, Any]:
    texts = [
        _facet(key, value) for key, value in fields.items() if isinstance(value, str) and len(value) <= _LONGEST_TEXT
    ]
    return {"facets": texts} | {key: value for key, value in fields.items() if not isinstance(value, str)}


def _known_fields(where: Where, numbers: set[str]) -> Where:
    """The filter without properties the class does not have: no chunk has such a number, but Weaviate would refuse the query."""
    if "operands" in where:
        return {**where, "operands": [_known_fields(each, numbers) for each in where["operands"]]}
    return where if where["path"][0] in ("facets", *numbers) else _among([_NOBODY])


def _graphql(value: Any) -> str:
    """A value as a GraphQL literal; an operator of a filter is a bare word."""
    if isinstance(value, dict):
        parts = (f"{key}: {each if key == 'operator' else _graphql(each)}" for key, each in value.items())
        return f"{{{', '.join(parts)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_graphql, value))}]"
    return json.dumps(value, ensure_ascii=False)
