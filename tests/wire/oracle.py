"""What the drivers share: the oracle process, and values in a form in which two sides can be compared."""

import base64
import datetime
import json
import math
import subprocess


class Oracle:
    """`foundation/wire/examples/oracle.rs`: one JSON question a line, one JSON answer a line."""

    def __init__(self, binary):
        self.process = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"the oracle died on {json.dumps(question)[:2000]}")
        return json.loads(answer)


def plain(value):
    """Nulls dropped, whole floats as integers, times as epoch seconds, bytes as text, special floats by name."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        return int(value) if value == int(value) else value
    if isinstance(value, datetime.datetime):
        return plain(value.timestamp())
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if hasattr(value, "read"):
        return plain(value.read())
    return value


def without_empties(value, items_too=False):
    """Empty structures, lists and maps dropped, as forms and XML cannot tell them from absent ones.

    `items_too`: also those that are items of a list; forms leave a gap for them.
    """
    empty = ({}, [], None)
    if isinstance(value, dict):
        items = ((key, without_empties(item, items_too)) for key, item in value.items())
        return {key: item for key, item in items if item not in empty}
    if isinstance(value, list):
        items = [without_empties(item, items_too) for item in value]
        return [item for item in items if item not in empty] if items_too else items
    return value


def tree(shape, value):
    """A value of botocore's as the wire's tree: blobs as base64, times as epoch seconds."""
    kind = shape.type_name
    if value is None:
        return None
    if kind == "structure":
        if getattr(shape, "is_document_type", False):
            return value
        return {k: tree(shape.members[k], v) for k, v in value.items() if k in shape.members and v is not None}
    if kind == "list":
        return [tree(shape.member, item) for item in value]
    if kind == "map":
        return {key: tree(shape.value, item) for key, item in value.items()}
    if kind == "blob":
        return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()
    if kind == "timestamp" and isinstance(value, datetime.datetime):
        return int(value.timestamp())
    if kind == "string" and not isinstance(value, str):
        return json.dumps(value)
    return value
