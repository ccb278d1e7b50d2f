"""The page at ``/api/v1/docs``: the OpenAPI document as one page of plain HTML. No script, nothing from the network."""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from streamferry.web.rest.rest_errors import STATUSES

_STYLE = """
:root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif}
body{max-width:62rem;margin:2rem auto;padding:0 1rem}
code,pre{font:13px/1.45 ui-monospace,monospace}
pre{padding:.7rem;overflow:auto;background:#8881;border-radius:6px}
table{border-collapse:collapse;width:100%;margin:.4rem 0 1rem}
td,th{text-align:left;vertical-align:top;padding:.25rem .7rem .25rem 0;border-bottom:1px solid #8884}
h2{margin-top:2.2rem}h3 code{font-size:15px}
.method{display:inline-block;min-width:4.5rem;font-weight:700}
"""
#: The page's Content-Security-Policy: its own style, links to itself, and nothing else.
POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_START = """TOKEN=$(curl -sS {server}/tokens -H 'Content-Type: application/json' \\
  -d '{{"access_key_id": "...", "secret_access_key": "..."}}' | jq -r .token)
curl -sS {server}/tasks -H "Authorization: Bearer $TOKEN"
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A parameter or a field: name, type, whether it is required, what it is."""

    name: str
    kind: str
    is_required: bool
    about: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. ``takes`` and ``gives`` name models; statuses other than success give a Refusal."""

    method: str
    path: str
    about: str
    parameters: tuple[Row, ...]
    takes: str
    status: str
    gives: str


def operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    """Every operation of an OpenAPI document, in its order."""
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            status, success = next((code, given) for code, given in one["responses"].items() if code < "300")
            yield Operation(
                method.upper(),
                path,
                " ".join(one.get("description", "").split()),
                tuple(
                    Row(
                        parameter["name"],
                        kind_of(parameter["schema"]),
                        parameter.get("required", False),
                        f"{parameter['in']}. {parameter.get('description', '')}".strip(),
                    )
                    for parameter in one.get("parameters", ())
                ),
                _content(one.get("requestBody", {})),
                status,
                _content(success),
            )


def models(document: Mapping[str, Any]) -> Iterator[tuple[str, str, tuple[Row, ...]]]:
    """Name, description and fields of every model with fields; of an enumeration the values are the description."""
    for name, schema in sorted(document["components"]["schemas"].items()):
        about = " ".join(schema.get("description", "").split())
        if "enum" in schema:
            yield name, f"{about} One of {', '.join(schema['enum'])}.".strip(), ()
            continue
        required = schema.get("required", ())
        rows = tuple(
            Row(field, kind_of(one), field in required, " ".join(one.get("description", "").split()))
            for field, one in schema.get("properties", {}).items()
        )
        yield name, about, rows


def kind_of(schema: Mapping[str, Any]) -> str:
    """The name of a type."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind_of(one) for one in schema["anyOf"]))
    if "allOf" in schema:
        return kind_of(schema["allOf"][0])
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {kind_of(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {kind_of(schema['additionalProperties'])}"
    if kind == "string" and schema.get("format") == "date-time":
        return "time"
    return kind + _range(schema)


def _range(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None and high is None:
        return f", at most {schema['maxLength']} characters" if "maxLength" in schema else ""
    return f" {low if low is not None else ''}..{high if high is not None else ''}"


def _content(body: Mapping[str, Any]) -> str:
    content = body.get("content", {})
    if "application/json" in content:
        schema = content["application/json"].get("schema", {})
        return kind_of(schema) if schema else ""
    return " or ".join(content)


def write_page(document: Mapping[str, Any], server: str) -> str:
    """The page."""
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>streamferry REST</title>"
        f"<meta name=viewport content='width=device-width,initial-scale=1'><style>{_STYLE}</style>"
        f"<h1>streamferry REST {escape(str(document['info']['version']))}</h1>"
        f"<p>{escape(document['info'].get('summary', ''))} The same as "
        f"<a href='{server}/openapi.json'>OpenAPI document</a>. Every call but the first needs a token.</p>"
        f"<pre>{escape(_START.format(server='$STREAMFERRY_URL' + server))}</pre>"
    ]
    for one in operations(document):
        parts.append(
            f"<h3><span class=method>{one.method}</span> <code>{escape(server + one.path)}</code></h3>"
            f"<p>{escape(one.about)}</p>{_table(one.parameters)}<p>"
            + (f"Takes {_link(one.takes)}. " if one.takes else "")
            + f"Gives {one.status}{f' with {_link(one.gives)}' if one.gives else ''}.</p>"
        )
    parts.append(
        f"<h2>What is no success</h2><p>Each is a {_link('Refusal')}, whose code tells cases apart.</p><table>"
    )
    parts += [f"<tr><td>{status}<td>{_with_code(words)}" for status, words in STATUSES.items()]
    parts.append("</table><h2>Models</h2>")
    for name, about, rows in models(document):
        parts.append(f"<h3 id='{escape(name)}'><code>{escape(name)}</code></h3><p>{escape(about)}</p>{_table(rows)}")
    return "\n".join(parts)


def _with_code(words: str) -> str:
    return re.sub("`([^`]*)`", r"<code>\1</code>", escape(words))


def _link(name: str) -> str:
    last = name.rpartition(" ")[2]
    return f"<a href='#{escape(last)}'>{escape(name)}</a>" if "/" not in name else escape(name)


def _table(rows: tuple[Row, ...]) -> str:
    if not rows:
        return ""
    lines = "".join(
        f"<tr><td><code>{escape(row.name)}</code>{' *' if row.is_required else ''}<td>{escape(row.kind)}"
        f"<td>{escape(row.about)}"
        for row in rows
    )
    return f"<table>{lines}</table>"
