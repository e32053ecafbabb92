"""The servers that stand in for Pinecone and Weaviate refuse what those refuse: a store that spoke wrongly would be noticed."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.store_servers import serving
from tests.store_servers.pinecone import API_KEY, Pinecone
from tests.store_servers.weaviate import Weaviate

_VECTOR = [1.0, 2.0]
_HEADERS = {"api-key": API_KEY, "x-pinecone-api-version": "2026-07"}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("query", {"vector": _VECTOR, "topK": 3}, 200),
        ("query", {"vector": _VECTOR, "topK": 3, "filter": {"a": {"$in": ["x"]}}}, 200),
        ("query", {"vector": _VECTOR, "topK": 10_001}, 400),
        ("query", {"vector": [1.0], "topK": 3}, 400),
        ("query", {"vector": _VECTOR, "topK": 3, "limit": 3}, 400),
        ("query", {"vector": _VECTOR, "topK": 3, "filter": {"a": {"$in": []}}}, 400),
        ("query", {"vector": _VECTOR, "topK": 3, "filter": {"a": {"$gt": "x"}}}, 400),
        ("query", {"vector": _VECTOR, "topK": 3, "filter": {"a": {"$like": "x"}}}, 400),
        ("query", {"vector": _VECTOR, "topK": 3, "filter": {"$not": {"a": {"$eq": 1}}}}, 400),
        ("query", {"vector": _VECTOR, "topK": 3, "filter": {"$or": []}}, 400),
        ("vectors/upsert", {"vectors": [{"id": "a", "values": _VECTOR, "metadata": {"n": 1}}]}, 200),
        ("vectors/upsert", {"vectors": [{"id": "ä", "values": _VECTOR}]}, 400),
        ("vectors/upsert", {"vectors": [{"id": "a", "values": [0.0, 0.0]}]}, 400),
        ("vectors/upsert", {"vectors": [{"id": "a", "values": _VECTOR, "metadata": {"n": {"deep": 1}}}]}, 400),
        ("vectors/upsert", {"vectors": [{"id": "a", "values": _VECTOR, "metadata": {"n": None}}]}, 400),
        ("vectors/upsert", {"vectors": [{"id": "a", "values": _VECTOR, "metadata": {"n": "x" * 41_000}}]}, 400),
        ("vectors/upsert", {"vectors": []}, 400),
        ("vectors/delete", {"ids": ["a"], "deleteAll": True}, 400),
        ("vectors/delete", {"ids": ["a"], "namespace": "unknown"}, 404),
        ("nonsense", {}, 404),
    ],
)
def test_pinecone_refuses_what_is_malformed(path: str, body: dict[str, Any], status: int) -> None:
    with serving(Pinecone({"one": 2})) as url:
        assert httpx2.post(f"{url}/hosts/one/{path}", json=body, headers=_HEADERS).status_code == status


def test_pinecone_wants_its_key_and_its_version() -> None:
    with serving(Pinecone({"one": 2})) as url:
        for headers, status in ((_HEADERS, 200), (_HEADERS | {"api-key": "x"}, 401), ({"api-key": API_KEY}, 400)):
            assert httpx2.get(f"{url}/indexes/one", headers=headers).status_code == status


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ('{path: ["facets"], operator: ContainsAny, valueText: ["s=x;"]}', ""),
        ('{path: ["n"], operator: LessThan, valueNumber: 3.5}', ""),
        ('{operator: Or, operands: [{path: ["n"], operator: Equal, valueNumber: 1.0}]}', ""),
        ('{path: ["month"], operator: LessThan, valueNumber: 3.5}', "no such prop"),
        ('{path: ["record"], operator: ContainsAny, valueText: ["x"]}', "not indexed"),
        ('{path: ["n"], operator: "LessThan", valueNumber: 3.5}', "operator"),
        ('{path: ["n"], operator: LessThan, valueText: "x"}', "not for a number"),
        ("{operator: And, operands: []}", "operands"),
        ('{path: ["n"], operator: LessThan, valueNumber: 3.5', "Syntax Error"),
    ],
)
def test_weaviate_refuses_what_is_malformed(where: str, said: str) -> None:
    properties = [
        {"name": "record", "dataType": ["text"], "indexFilterable": False},
        {"name": "facets", "dataType": ["text[]"], "tokenization": "field"},
        {"name": "n", "dataType": ["number"]},
    ]
    about = {"class": "A", "vectorizer": "none", "vectorIndexConfig": {"distance": "cosine"}, "properties": properties}
    kept = {"class": "A", "vector": _VECTOR, "id": "00000000-0000-0000-0000-000000000001"}
    with serving(Weaviate()) as url:
        assert httpx2.post(f"{url}/v1/schema", json=about).status_code == 200
        assert httpx2.post(f"{url}/v1/schema", json=about).status_code == 422
        for fields, right in (({"record": "r", "facets": ["s=x;"], "n": 1.0}, True), ({"month": 1}, False)):
            answer = httpx2.post(f"{url}/v1/batch/objects", json={"objects": [kept | {"properties": fields}]}).json()
            assert (answer[0]["result"]["status"] == "SUCCESS") == right
        query = f"{{ Get {{ A(nearVector: {{vector: [1.0, 2.0]}}, limit: 5, where: {where}) {{ record }} }} }}"
        answer = httpx2.post(f"{url}/v1/graphql", json={"query": query}).json()
        if said:
            assert said in answer["errors"][0]["message"]
        else:
            assert answer["data"]["Get"]["A"] == [{"record": "r"}]
