"""The types of ``streamferry.client.rest``, from the document of REST: a TypedDict for each schema that it uses."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

#: Module -> what its docstring says, and the schemas that are wanted: those that they refer to come with them.
MODULES = {
    "rest_bodies": (
        "What is given to REST, as its document has it.",
        ("NewTask", "TaskPatch", "DestinationBody", "InsertRequest"),
    ),
    "rest_views": (
        "What REST answers, as its document has it. A newer service may give more.",
        ("TaskPage", "TaskView", "WindowList", "Guide", "CalendarLink", "EventPage", "WorkerList"),
    ),
}
_ORIGIN = "Written by ``scripts/reference.py``: do not edit."
_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def write_module(document: dict[str, Any], name: str) -> str:
    """The text of a module."""
    words, wanted = MODULES[name]
    schemas: dict[str, Any] = document["components"]["schemas"]
    found = {one: schemas[one] for one in _reach(schemas, wanted) if "properties" in schemas[one]}
    classes = "".join(_write_class(schemas, one, schema) for one, schema in found.items())
    imported = [one for one in ("Any", "Literal", "NotRequired", "TypedDict") if one in classes]
    text = f'"""{words}\n\n{_ORIGIN}\n"""\n\nfrom typing import {", ".join(imported)}\n{classes}'
    # In the form of all code here.
    form = [sys.executable, "-m", "ruff", "format", "-"]
    return subprocess.run(form, input=text, capture_output=True, text=True, check=True).stdout


def _reach(schemas: dict[str, Any], wanted: tuple[str, ...]) -> list[str]:
    """These schemas and those that they refer to; what is referred to comes first."""
    found: list[str] = []

    def add(name: str) -> None:
        for one in _references(schemas[name]):
            if one not in found:
                add(one)
        if name not in found:
            found.append(name)

    for one in wanted:
        add(one)
    return found


def _references(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        for part in schema.values():
            yield from _references(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _references(part)


def _write_class(schemas: dict[str, Any], name: str, schema: dict[str, Any]) -> str:
    told = " ".join(schema["description"].split("\n\n")[0].split())
    lines = textwrap.wrap(f'"""{told}"""', 120, initial_indent="    ", subsequent_indent="    ")
    required = schema.get("required", ())
    for field, part in schema["properties"].items():
        kind = _type_of(schemas, part)
        lines.append(f"    {field}: {kind if field in required else f'NotRequired[{kind}]'}")
    lines.insert(len(lines) - len(schema["properties"]), "")
    return f"\n\nclass {_name_of(name)}(TypedDict):\n" + "\n".join(lines) + "\n"


def _name_of(schema: str) -> str:
    return schema.removesuffix("View")


def _type_of(schemas: dict[str, Any], schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _name_of(name) if "properties" in schemas[name] else _type_of(schemas, schemas[name])
    if "const" in schema:
        return f'Literal["{schema["const"]}"]'
    if "enum" in schema:
        return f"Literal[{', '.join(json.dumps(one) for one in schema['enum'])}]"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " | ".join(dict.fromkeys(_type_of(schemas, one) for one in schema[several]))
    if schema.get("type") == "array":
        return f"list[{_type_of(schemas, schema['items'])}]"
    if schema.get("type") == "object":
        values = schema.get("additionalProperties", True)
        return f"dict[str, {_type_of(schemas, values) if isinstance(values, dict) and values else 'Any'}]"
    return _PLAIN.get(schema.get("type", ""), "Any")
