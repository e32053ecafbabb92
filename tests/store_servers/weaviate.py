"""Weaviate's REST and GraphQL APIs, as far as our store uses them, with the limits and manners of the real one.

Queries are parsed as GraphQL. Texts of `field` tokenisation are trimmed, an unknown property in a filter is an error, and so is a
limit above 10,000.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import uuid
from typing import Any

import numpy as np
from graphql import GraphQLError, parse
from graphql.language import FieldNode, ObjectValueNode, ValueNode
from graphql.utilities import value_from_ast_untyped

from . import RefusedError, Request, serving

MOST = 10_000
_NUMBERS = {
    "Equal": np.equal,
    "GreaterThan": np.greater,
    "GreaterThanEqual": np.greater_equal,
    "LessThan": np.less,
    "LessThanEqual": np.less_equal,
}
_KINDS = {"text": str, "number": int | float, "text[]": list}


class Weaviate:
    """A server.

    :param api_key: What every request must bring, when there is one.
    """

    def __init__(self, api_key: str = "") -> None:
        self.api_key = api_key
        self.classes: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, dict[str, dict[str, Any]]] = {}
        self.batches: list[int] = []
        self.headers: dict[str, str] = {}

    def answer(self, request: Request, base: str) -> tuple[int, Any]:
        """See `Service.answer`."""
        self.headers = dict(request.headers)
        if self.api_key and self.headers.get("authorization") != f"Bearer {self.api_key}":
            raise _refused(401, "anonymous access not enabled, please provide an auth scheme")
        match request.method, request.path.removeprefix("/v1/").split("/"):
            case "GET", ["schema", name]:
                return 200, self._class(name)
            case "POST", ["schema"]:
                return 200, self._make(request.body)
            case "POST", ["schema", name, "properties"]:
                return 200, self._add_property(self._class(name), request.body)
            case "DELETE", ["schema", name]:
                self.classes.pop(name, None)
                self.objects.pop(name, None)
                return 200, None
            case "POST", ["batch", "objects"]:
                return 200, self._batch(request.body["objects"])
            case "DELETE", ["batch", "objects"]:
                return 200, self._delete(request.body["match"])
            case "GET", [".well-known", "ready"]:
                return 200, None
            case "POST", ["graphql"]:
                return 200, self._graphql(request.body["query"])
        raise _refused(404, f"path {request.path} was not found")

    def _class(self, name: str) -> dict[str, Any]:
        if name not in self.classes:
            raise RefusedError(404, None)
        return self.classes[name]

    def _make(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = asked["class"]
        if set(asked) - {"class", "vectorizer", "vectorIndexConfig", "properties"} or asked["vectorizer"] != "none":
            raise _refused(422, "unknown settings of a class")
        if not re.fullmatch(r"[A-Z][_0-9A-Za-z]*", name) or name in self.classes:
            raise _refused(422, f"class name {name!r} is taken, or none")
        if asked["vectorIndexConfig"]["distance"] not in ("cosine", "dot", "l2-squared"):
            raise _refused(422, "unrecognized distance")
        made = {**asked, "properties": []}
        for each in asked["properties"]:
            self._add_property(made, each)
        self.classes[name] = made
        self.objects[name] = {}
        return made

    @staticmethod
    def _add_property(owner: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
        if not re.fullmatch(r"[_A-Za-z][_0-9A-Za-z]{0,230}", asked["name"]) or asked["name"] in (
            "id",
            "_id",
            "_additional",
        ):
            raise _refused(422, f"{asked['name']!r} is not a valid property name")
        if any(each["name"] == asked["name"] for each in owner["properties"]):
            raise _refused(422, f"property {asked['name']!r} already exists")
        if asked["dataType"][0] not in _KINDS:
            raise _refused(422, "unknown data type")
        owner["properties"].append(asked)
        return asked

    def _batch(self, objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self.batches.append(len(objects))
        return [{**each, "result": self._kept(each)} for each in objects]

    def _kept(self, given: dict[str, Any]) -> dict[str, Any]:
        owner, there = self.classes[given["class"]], self.objects[given["class"]]
        known = {each["name"]: _KINDS[each["dataType"][0]] for each in owner["properties"]}
        wrong = [name for name, value in given["properties"].items() if not isinstance(value, known.get(name, ()))]
        lengths = {len(each["vector"]) for each in there.values()} | {len(given["vector"])}
        if wrong or len(lengths) > 1 or str(uuid.UUID(given["id"])) != given["id"]:
            reason = f"wrong properties {wrong}, vector lengths {lengths}, id {given['id']}"
            return {"status": "FAILED", "errors": {"error": [{"message": reason}]}}
        there[given["id"]] = given
        return {"status": "SUCCESS"}

    def _delete(self, match: dict[str, Any]) -> dict[str, Any]:
        where, there = match["where"], self.objects[match["class"]]
        if (where["path"], where["operator"]) != (["id"], "ContainsAny"):
            raise _refused(422, "this server deletes by ids")
        gone = [there.pop(key, None) for key in where["valueTextArray"]]
        return {"results": {"successful": sum(one is not None for one in gone), "failed": 0}}

    def _graphql(self, query: str) -> dict[str, Any]:
        try:
            (operation,) = parse(query).definitions
            (kind,) = operation.selection_set.selections  # type: ignore[attr-defined]  # graphql-core's nodes are untyped here
            (asked,) = kind.selection_set.selections
            name, arguments = asked.name.value, {each.name.value: each.value for each in asked.arguments or ()}
            rows = self._get(name, asked, arguments) if kind.name.value == "Get" else self._aggregate(name)
            return {"data": {kind.name.value: {name: rows}}}
        except GraphQLError as error:
            return {"errors": [{"message": error.message}]}

    def _aggregate(self, name: str) -> list[dict[str, Any]]:
        self._queried(name)
        return [{"meta": {"count": len(self.objects[name])}}]

    def _queried(self, name: str) -> None:
        if name not in self.classes:
            raise GraphQLError(f'Cannot query field "{name}".')

    def _get(self, name: str, asked: FieldNode, arguments: dict[str, ValueNode]) -> list[dict[str, Any]]:
        self._queried(name)
        limit = value_from_ast_untyped(arguments.pop("limit"))
        if not 1 <= limit <= MOST:
            raise GraphQLError(f"query maximum results exceeded: {limit}")
        where = arguments.pop("where", None)
        found = [each for each in self.objects[name].values() if where is None or self._passes(name, where, each)]
        near = arguments.pop("nearVector", None)
        if arguments:
            raise GraphQLError(f"unknown arguments {sorted(arguments)}")
        distances = [0.0] * len(found)
        if near is not None and found:
            vector = np.asarray(value_from_ast_untyped(near)["vector"], dtype=np.float32)
            if len(vector) != len(found[0]["vector"]):
                raise GraphQLError("vector lengths don't match")
            distances = self._distances(name, vector, np.asarray([each["vector"] for each in found], dtype=np.float32))
        order = sorted(range(len(found)), key=distances.__getitem__)[:limit]
        return [_shaped(asked, found[number], distances[number]) for number in order]

    def _distances(self, name: str, vector: Any, vectors: Any) -> list[float]:
        metric = self.classes[name]["vectorIndexConfig"]["distance"]
        if metric == "l2-squared":
            return [float(one) for one in np.sum((vectors - vector) ** 2, axis=1)]
        products = vectors @ vector
        if metric == "cosine":
            products = 1 - products / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(vector))
        return [float(one) for one in (products if metric == "cosine" else -products)]

    def _passes(self, name: str, where: ValueNode, found: dict[str, Any]) -> bool:
        assert isinstance(where, ObjectValueNode)
        said = {field.name.value: field.value for field in where.fields}
        operator = said.pop("operator")
        if operator.kind != "enum_value":
            raise GraphQLError("an operator is no string")
        word = value_from_ast_untyped(operator)
        if word in ("And", "Or"):
            operands = said.pop("operands").values  # type: ignore[attr-defined]  # a list, as the schema says
            if said or not operands:
                raise GraphQLError(f"{word} takes operands and nothing else")
            return (all if word == "And" else any)([self._passes(name, each, found) for each in operands])
        (path,) = value_from_ast_untyped(said.pop("path"))
        kinds = {each["name"]: each for each in self.classes[name]["properties"]}
        if path not in kinds or kinds[path].get("indexFilterable") is False:
            raise GraphQLError(f"no such prop with name {path!r} found in class {name!r}, or it is not indexed")
        ((typed, value),) = said.items()
        return _holds(kinds[path], word, typed, value_from_ast_untyped(value), found["properties"].get(path))


def _holds(about: dict[str, Any], operator: str, typed: str, value: Any, found: Any) -> bool:
    if about["dataType"] == ["number"]:
        if typed != "valueNumber" or operator not in _NUMBERS or not isinstance(value, int | float):
            raise GraphQLError(f"{operator} and {typed} are not for a number")
        return found is not None and bool(_NUMBERS[operator](found, value))
    if typed != "valueText" or operator != "ContainsAny" or about["tokenization"] != "field":
        raise GraphQLError(f"this server knows ContainsAny of whole texts, not {operator} with {typed}")
    kept = {one.strip() for one in found or ()}
    return any(one.strip() in kept for one in value)


def _shaped(asked: FieldNode, found: dict[str, Any], distance: float) -> dict[str, Any]:
    """What was asked for of an object."""
    assert asked.selection_set is not None
    shaped: dict[str, Any] = {}
    for field in asked.selection_set.selections:
        assert isinstance(field, FieldNode)
        if field.name.value == "_additional":
            assert field.selection_set is not None
            names = [each.name.value for each in field.selection_set.selections if isinstance(each, FieldNode)]
            all_of_it = {"distance": distance, "vector": found["vector"], "id": found["id"]}
            shaped["_additional"] = {name: all_of_it[name] for name in names}
        else:
            shaped[field.name.value] = found["properties"].get(field.name.value)
    return shaped


def _refused(status: int, message: str) -> RefusedError:
    return RefusedError(status, {"error": [{"message": message}]})


def main() -> None:
    """Stand in for the program `weaviate`, with its arguments, until it is asked to end."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--host", choices=["127.0.0.1"], required=True)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--scheme", choices=["http"], required=True)
    given = arguments.parse_args()
    assert os.environ["PERSISTENCE_DATA_PATH"]
    assert os.environ["GRPC_PORT"].isdigit()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    with serving(Weaviate(), given.port):
        signal.sigwait([signal.SIGTERM])


if __name__ == "__main__":
    main()
