"""Differential fuzz with botocore over the real API models.

For each operation and each protocol that its service declares: random params, botocore's serializer, the wire's
router and parser, equal? And a random output, the wire's serializer, botocore's parser, equal?
What botocore's own validator refuses (a missing member, a value below its minimum), the wire must refuse as well.

usage: fuzz.py ORACLE_BINARY MODELS_DIRECTORY SAMPLES SEED [SERVICE...]
Exceptions are in exceptions.json, each with its reason. Ends with 1 on any other miss.
"""

import base64
import collections
import datetime
import glob
import gzip
import io
import json
import os
import random
import re
import sys
from urllib.parse import urlencode

from botocore.awsrequest import HeadersDict
from botocore.exceptions import EventStreamError
from botocore.model import ServiceModel
from botocore.parsers import PROTOCOL_PARSERS
from botocore.serialize import SERIALIZERS
from botocore.utils import parse_timestamp, percent_encode_sequence
from botocore.validate import ParamValidator

from oracle import Oracle, plain, tree, without_empties

oracle = Oracle(sys.argv[1])
MODELS = sys.argv[2]
SAMPLES, SEED = int(sys.argv[3]), int(sys.argv[4])
NAMES = sys.argv[5:] or sorted(os.path.basename(path)[:-8] for path in glob.glob(f"{MODELS}/*.json.gz"))
with open(os.path.join(os.path.dirname(__file__), "exceptions.json")) as f:
    EXCEPTIONS = {(e["service"], e["op"], e["direction"]): e["reason"] for e in json.load(f)["fuzz"]}
PROTOCOLS = {"json": "AwsJson", "query": "AwsQuery", "ec2": "Ec2Query", "rest-json": "RestJson",
             "rest-xml": "RestXml", "smithy-rpc-v2-cbor": "RpcV2Cbor"}
EVENT_STREAM = "application/vnd.amazon.eventstream"
draw = random.Random(SEED)


def seconds(value):
    return parse_timestamp(value).timestamp()


def value_of(shape, depth=0, location=None):
    """A random value; nothing for event streams and where the depth ends."""
    kind = shape.type_name
    if kind == "structure":
        if getattr(shape, "is_document_type", False):
            return {"a": [1, "x", True]}
        if getattr(shape, "is_eventstream", False):
            return None
        members = list(shape.members.items())
        union = getattr(shape, "is_tagged_union", False)
        if union:
            # The first of its members, in any order, that has a value: unions that hold themselves end somewhere.
            for name, target in draw.sample(members, len(members)) if depth <= 12 else []:
                value = value_of(target, depth + 1, target.serialization.get("location"))
                if value is not None and value != []:
                    return {name: value}
            return None
        result = {}
        for name, target in members:
            location = target.serialization.get("location")
            # A status is always there, and an absent blob or text that is the whole body reads as an empty one.
            # The answer's own Content-Type reads as a member that is bound to it.
            typed = location == "header" and target.serialization.get("name", "").lower() == "content-type"
            always = typed or location == "statusCode" or name == shape.serialization.get("payload") and target.type_name in ("blob", "string")
            # Now and then a required member is missing: both sides must see that.
            required = always or name in shape.required_members and draw.random() > 0.03
            if not required and (depth > 5 or draw.random() < 0.4):
                continue
            if depth > 12:
                continue
            value = value_of(target, depth + 1, location)
            if value is not None:
                result[name] = value
        return result
    if kind == "list":
        count = 1 if depth > 3 else draw.randint(1, 3)
        items = (value_of(shape.member, depth + 1, location) for _ in range(count))
        return [item for item in items if item is not None]
    if kind == "map":
        keys = getattr(shape.key, "enum", None)
        return {(draw.choice(keys) if keys else f"k{i}"): value_of(shape.value, depth + 1, location)
                for i in range(draw.randint(1, 2))}
    if kind == "string":
        if shape.enum:
            return draw.choice(shape.enum)
        if shape.serialization.get("jsonvalue"):
            return {"j": 1}
        if location in ("header", "headers"):
            return draw.choice(["abc", "a-b_c", "x y"])
        return draw.choice(["abc", 'a b&c<d>"é/+%', "x,y=1", "ünï", "0", "a\nb"])
    if kind == "integer":
        return 200 if location == "statusCode" else draw.randint(-5, 100_000)
    if kind == "long":
        return draw.choice([0, 7, 2**40, -(2**62)])
    if kind == "boolean":
        return draw.choice([True, False])
    if kind in ("float", "double"):
        return draw.choice([0.5, 1.25, 3.0, 1e300])
    if kind == "blob":
        return draw.choice([b"\x00\xff bin", b"hello"])
    if kind == "timestamp":
        return datetime.datetime.fromtimestamp(draw.choice([1_500_000_000, 1_700_000_001]), datetime.timezone.utc)
    return "abc"


def request_of(params, operation, protocol):
    serialized = SERIALIZERS[protocol]().serialize_to_request(params, operation)
    body = serialized["body"]
    if isinstance(body, dict):
        body = urlencode(body, doseq=True)
    if hasattr(body, "read"):
        body = body.read()
    if isinstance(body, str):
        body = body.encode()
    uri = serialized["url_path"]
    query = serialized.get("query_string")
    if query:
        uri += ("&" if "?" in uri else "?") + (query if isinstance(query, str) else percent_encode_sequence(query))
    headers = {key: str(value) for key, value in serialized["headers"].items()}
    return {"method": serialized["method"], "uri": uri, "headers": headers,
            "body": base64.b64encode(body or b"").decode()}


class Tally:
    def __init__(self):
        self.passed = collections.Counter()
        self.total = collections.Counter()
        self.excused = collections.Counter()
        self.misses = collections.defaultdict(list)

    def add(self, service, protocol, direction, operation, equal, *detail):
        key = f"{service} {protocol} {direction}"
        self.total[key] += 1
        if equal:
            self.passed[key] += 1
        elif (service, operation, direction) in EXCEPTIONS:
            self.excused[(service, operation, direction)] += 1
        else:
            self.misses[key].append((operation, *detail))


def check_request(tally, name, operation, protocol, scope):
    shape = operation.input_shape
    params = value_of(shape) if shape else {}
    if shape:
        for member, target in shape.members.items():
            location = target.serialization.get("location")
            # Every required member that routes, and no label that is empty or no number where one is due.
            if location in ("uri", "querystring", "header") and member in shape.required_members:
                params.setdefault(member, value_of(target, 0, location))
            if location == "uri" and target.type_name == "string" and not target.enum:
                params[member] = draw.choice(["abc", "a b", "ünï"])
    # botocore checks the labels of a host name before it sends them.
    for label in re.findall(r"{(\w+)}", (operation.endpoint or {}).get("hostPrefix", "")):
        params[label] = "abc"
    request = request_of(params, operation, protocol)
    form = protocol in ("query", "ec2")
    expected = without_empties(plain(tree(shape, params)), form) if shape else {}
    routed = oracle.ask(kind="route", request=request, scope=scope)
    right = (routed.get("service"), routed.get("op"), routed.get("protocol")) == (name, operation.name,
                                                                                  PROTOCOLS[protocol])
    answer = oracle.ask(kind="parse", service=name, op=operation.name, protocol=protocol, request=request)
    got = without_empties(plain(answer["ok"]), form) if "ok" in answer else answer
    if shape and not form and "ok" in answer:
        report = ParamValidator().validate(params, shape)
        if report.has_errors():
            refused = answer["invalid"] is not None
            tally.add(name, protocol, "invalid", operation.name, refused, report.generate_report(), params)
    tally.add(name, protocol, "in", operation.name, right and got == expected, expected, got, routed, request["uri"])


def check_response(tally, name, operation, protocol, _scope):
    shape = operation.output_shape
    output = value_of(shape) if shape else {}
    answer = oracle.ask(kind="ok", service=name, op=operation.name, protocol=protocol,
                        output=tree(shape, output) if shape else {})
    response = {"status_code": answer["status"], "headers": HeadersDict(dict(answer["headers"])),
                "body": base64.b64decode(answer["body"]), "context": {"operation_name": operation.name}}
    body = response["body"]
    if shape and operation.has_streaming_output:
        response["body"] = io.BytesIO(body)
    expected = without_empties(plain(output))
    try:
        parsed = PROTOCOL_PARSERS[protocol](timestamp_parser=seconds).parse(response, shape)
        parsed.pop("ResponseMetadata", None)
        got = without_empties(plain(parsed))
    except Exception as error:  # botocore refuses the answer: a miss like any other
        got = repr(error)
    tally.add(name, protocol, "out", operation.name, got == expected, expected, got, body[:400])


def events_of(stream):
    """Some events of a stream: of every kind once, then what chance wants, and now and then an exception at the end."""
    exceptions = [name for name, shape in stream.members.items() if shape.metadata.get("exception")]
    kinds = [name for name in stream.members if name not in exceptions]
    names = kinds + draw.choices(kinds, k=draw.randint(0, 3))
    draw.shuffle(names)
    if exceptions and draw.random() < 0.3:
        names.append(draw.choice(exceptions))
    events = [(name, value_of(stream.members[name], 1)) for name in names]
    for name, value in events:
        for member, shape in stream.members[name].members.items():
            # An absent blob or text that is the whole payload reads as an empty one.
            if shape.serialization.get("eventpayload") and shape.type_name in ("blob", "string"):
                value.setdefault(member, b"" if shape.type_name == "blob" else "")
    return events, exceptions


class Pieces:
    """A body that arrives in pieces of any length."""

    def __init__(self, body):
        self.body = body

    def stream(self):
        while self.body:
            length = draw.randint(1, 200)
            yield self.body[:length]
            self.body = self.body[length:]


def check_stream(tally, name, operation, protocol, _scope):
    shape = operation.output_shape
    member = shape.event_stream_name
    stream = shape.members[member]
    output = value_of(shape)
    output.pop(member, None)
    for beside, target in shape.members.items():
        # The answer's own Content-Type reads as a member that is bound to it.
        if target.serialization.get("location") == "header" and target.serialization["name"].lower() == "content-type":
            output[beside] = EVENT_STREAM
    events, exceptions = events_of(stream)
    given = tree(shape, output)
    given[member] = [{kind: tree(stream.members[kind], value)} for kind, value in events]
    answer = oracle.ask(kind="ok", service=name, op=operation.name, protocol=protocol, output=given)
    headers, body = HeadersDict(dict(answer["headers"])), base64.b64decode(answer["body"])
    response = {"status_code": answer["status"], "headers": headers, "body": Pieces(body),
                "context": {"operation_name": operation.name}}
    expected = [(f"! {kind}" if kind in exceptions else kind,
                 value.get("message", "") if kind in exceptions else without_empties(plain(value)))
                for kind, value in events]
    got = []
    try:
        parsed = PROTOCOL_PARSERS[protocol](timestamp_parser=seconds).parse(response, shape)
        parsed.pop("ResponseMetadata", None)
        for event in parsed.pop(member):
            got += [(kind, without_empties(plain(value))) for kind, value in event.items()]
    except EventStreamError as error:
        got.append((f"! {error.response['Error']['Code']}", error.response["Error"]["Message"]))
    except Exception as error:  # botocore refuses the answer: a miss like any other
        got.append(repr(error))
    right = (without_empties(plain(parsed)) == without_empties(plain(output))
             and headers["content-type"] == EVENT_STREAM)
    tally.add(name, protocol, "stream", operation.name, right and got == expected, expected, got, body[:400])


tally = Tally()
covered, streamed = set(), set()
operations = 0
for name in NAMES:
    with gzip.open(f"{MODELS}/{name}.json.gz") as f:
        model = json.load(f)
    service = ServiceModel(model, name)
    metadata = model["metadata"]
    scope = metadata.get("signingName", metadata["endpointPrefix"])
    operations += len(service.operation_names)
    for operation in map(service.operation_model, service.operation_names):
        for protocol in metadata.get("protocols", [metadata["protocol"]]):
            answers = check_stream if operation.has_event_stream_output else check_response
            for direction, check in (("in", check_request), ("out", answers)):
                way = (name, operation.name, protocol, direction)
                # No embedded model has a request that is a stream of events.
                streams = direction == "in" and operation.has_event_stream_input
                (streamed if streams else covered).add(way)
                for _ in range(0 if streams else SAMPLES):
                    check(tally, name, operation, protocol, scope)

for key in tally.total:
    print(f"{key:56} {tally.passed[key]}/{tally.total[key]}")
print(f"{'total':56} {sum(tally.passed.values())}/{sum(tally.total.values())}, "
      f"{sum(tally.excused.values())} excused in {len(tally.excused)} of {len(EXCEPTIONS)} exceptions, seed {SEED}")
seen = len({way[:2] for way in covered | streamed})
print(f"{'operations':56} {seen}/{operations} in all their protocols, {len(covered)} ways; "
      f"left out: {', '.join(sorted(f'{way[0]}:{way[1]} ({way[3]})' for way in streamed)) or 'none'}")
for key, misses in tally.misses.items():
    print(f"MISS {key}: {len(misses)} in {sorted({miss[0] for miss in misses})[:12]}")
    for part in misses[0]:
        print(f"    {str(part)[:500]}")
sys.exit(1 if tally.misses or not tally.total or streamed or seen != operations else 0)
