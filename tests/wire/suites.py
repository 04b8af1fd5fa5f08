"""botocore's own protocol suites, used backwards.

input cases:  the serialized request goes to the wire's parser; the tree must equal the case's params.
output cases: the wire serializes the case's result or error; botocore's parser must read it back.

usage: suites.py ORACLE_BINARY BOTOCORE_SOURCE   (the unpacked source archive of the installed botocore's version)
Exceptions are in exceptions.json, each with its reason. Ends with 1 on any other miss, and when an exception passes.
"""

import base64
import collections
import copy
import glob
import json
import os
import sys
from xml.etree import ElementTree

from botocore.awsrequest import HeadersDict
from botocore.compress import maybe_compress_request
from botocore.config import Config
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import PROTOCOL_PARSERS
from botocore.serialize import SERIALIZERS
from botocore.utils import parse_timestamp

from oracle import Oracle, plain, tree, without_empties

oracle = Oracle(sys.argv[1])
# What the suites' clients have for an idempotency token of their own making.
AUTO_FILLED = "00000000-0000-4000-8000-000000000000"
SUITES = os.path.join(sys.argv[2], "tests/unit/protocols")
with open(os.path.join(os.path.dirname(__file__), "exceptions.json")) as f:
    EXCEPTIONS = json.load(f)["suites"]
# How a case is compared that botocore cannot read back, or whose bytes do not tell: another way, or not at all.
COMPARED = {case: group.get("compared") for group in EXCEPTIONS for case in group["cases"]}
SKIPPED = {case for case, compared in COMPARED.items() if compared is None}


def seconds(value):
    return parse_timestamp(value).timestamp()


def model_of(suite, case):
    model = copy.deepcopy(suite)
    model["operations"] = {case["given"]["name"]: copy.deepcopy(case["given"])}
    model.pop("cases")
    return model


def compressed(case, operation, protocol, expected, headers):
    """The body that a case with compression leaves out: botocore's own, compressed by botocore."""
    for member, shape in operation.input_shape.members.items():
        if protocol == "ec2":
            # Every real model of ec2 names its members, and botocore relies on that for the capital.
            shape.serialization.setdefault("name", member)
    request = SERIALIZERS[protocol]().serialize_to_request(copy.deepcopy(case["params"]), operation)
    config = Config(request_min_compression_size_bytes=0)
    maybe_compress_request(config, request, operation)
    headers.setdefault("Content-Type", request["headers"].get("Content-Type", "application/x-www-form-urlencoded"))
    for member, shape in operation.input_shape.members.items():
        if shape.serialization.get("location") == "header":
            # A server sees what the client made of it.
            expected[member] = headers["Content-Encoding"]
    body = request["body"]
    return body.read() if hasattr(body, "read") else body


def check_input(suite, case, name):
    model = model_of(suite, case)
    operation = OperationModel(case["given"], ServiceModel(copy.deepcopy(model)))
    serialized = case["serialized"]
    body = serialized.get("body") or ""
    raw = base64.b64decode(body) if "cbor" in name else body.encode()
    expected = plain(tree(operation.input_shape, case["params"])) if operation.input_shape else {}
    if "body" not in serialized and "requestcompression" in case["given"]:
        raw = compressed(case, operation, suite["metadata"]["protocol"], expected, serialized["headers"])
    for member, shape in (operation.input_shape.members if operation.input_shape else {}).items():
        if shape.metadata.get("idempotencyToken") and member not in expected:
            # The client fills it in.
            expected[member] = AUTO_FILLED
    request = {
        "method": serialized.get("method", "POST"),
        "uri": serialized["uri"],
        "headers": {key: str(value) for key, value in serialized.get("headers", {}).items()},
        "body": base64.b64encode(raw).decode(),
    }
    # The cases name the headers that matter to them; a JSON body is always sent with its type.
    payload = operation.input_shape and operation.input_shape.serialization.get("payload")
    if name == "rest-json" and raw and not payload and "content-type" not in {key.lower() for key in request["headers"]}:
        request["headers"]["Content-Type"] = "application/json"
    answer = oracle.ask(kind="parse", model=model, op=case["given"]["name"],
                        protocol=suite["metadata"]["protocol"], request=request)
    return plain(answer.get("ok", answer)), expected


def response(answer):
    return {
        "status_code": answer["status"],
        "headers": HeadersDict(dict(answer["headers"])),
        "body": base64.b64decode(answer["body"]),
        "context": {},
    }


def check_output(suite, case):
    model = model_of(suite, case)
    service = ServiceModel(copy.deepcopy(model))
    operation = OperationModel(copy.deepcopy(case["given"]), service)
    protocol = suite["metadata"]["protocol"]
    shape = operation.output_shape
    if protocol == "query" and shape and shape.members:
        shape.serialization["resultWrapper"] = case["given"]["name"] + "Result"
    result = tree(shape, case["result"]) if shape else {}
    answer = oracle.ask(kind="ok", model=model, op=case["given"]["name"], protocol=protocol, output=result)
    parsed = PROTOCOL_PARSERS[protocol](timestamp_parser=seconds).parse(response(answer), shape)
    parsed.pop("ResponseMetadata", None)
    return plain(parsed), plain(case["result"])


def check_error(suite, case):
    model = model_of(suite, case)
    service = ServiceModel(copy.deepcopy(model))
    protocol = suite["metadata"]["protocol"]
    code = case.get("errorCode", "")
    by_code = [name for name, shape in model["shapes"].items() if shape.get("error", {}).get("code") == code]
    name = by_code[0] if by_code else code
    shape = service.shape_for(name) if name in model["shapes"] else None
    answer = oracle.ask(kind="error", model=model, op=case["given"]["name"], protocol=protocol, code=name,
                        message=case.get("errorMessage", ""), fields=tree(shape, case["error"]) if shape else {})
    parser = PROTOCOL_PARSERS[protocol](timestamp_parser=seconds)
    got = {"Error": parser.parse(response(answer), None)["Error"], "status": answer["status"]}
    got["Error"] = {key: got["Error"].get(key) for key in ("Code", "Message")}
    if shape:
        parsed = parser.parse(response(answer), shape)
        got.update({key: value for key, value in parsed.items() if key in shape.members})
    expected = {"Error": {"Code": code, "Message": case.get("errorMessage", "")}, **case["error"],
                "status": case["response"]["status_code"]}
    got, expected = plain(got), plain(expected)
    if "errorMessage" not in case:
        got["Error"].pop("Message", None)
        expected["Error"].pop("Message")
    # A message that only the generic part of the case names is a member as well.
    for key in ("Message", "message"):
        if key not in expected:
            got.pop(key, None)
    return got, expected


def xml_tree(text):
    """An XML document without its namespaces, its declaration, and the blanks between elements."""
    def node(element):
        children = [node(child) for child in element]
        attributes = {key: value for key, value in element.attrib.items()}
        text = "" if children else (element.text or "")
        return [element.tag.rsplit("}", 1)[-1], sorted(attributes.items()), text, children]
    return node(ElementTree.fromstring(text))


def check_bytes(suite, case):
    """The answer against the case's own response: status, headers, and what the body says."""
    model = model_of(suite, case)
    shape = OperationModel(copy.deepcopy(case["given"]), ServiceModel(copy.deepcopy(model))).output_shape
    protocol = suite["metadata"]["protocol"]
    answer = oracle.ask(kind="ok", model=model, op=case["given"]["name"], protocol=protocol,
                        output=tree(shape, case["result"]))
    body = base64.b64decode(answer["body"]).decode()
    headers = {key.lower(): value for key, value in answer["headers"]}
    # Ours is left to the server.
    headers["content-length"] = str(len(body))
    response = case["response"]
    wanted = {key.lower(): value for key, value in response.get("headers", {}).items()}
    got = [answer["status"], {key: headers.get(key) for key in wanted}]
    expected = [response["status_code"], wanted]
    if "body" in response:
        is_xml = protocol != "rest-json" and response["body"]
        got.append(told_in(xml_tree(body)) if is_xml and body else body)
        expected.append(told_in(xml_tree(response["body"])) if is_xml else response["body"])
    return got, expected


def told_in(document):
    """The document without what names the request; lists of ec2 have items, which the suite calls members."""
    name, attributes, text, children = document
    children = [told_in(child) for child in children if child[0] not in ("ResponseMetadata", "requestId", "RequestId")]
    return ["member" if name == "item" else name, attributes, text, sorted(children, key=lambda child: child[0])]


passed = collections.Counter()
total = collections.Counter()
misses = []
for direction in ("input", "output"):
    for path in sorted(glob.glob(f"{SUITES}/{direction}/*.json")):
        name = os.path.basename(path)[:-5]
        with open(path) as f:
            suites = json.load(f)
        for suite in suites:
            for case in suite["cases"]:
                key = f"{direction}/{name}/{case['id']}"
                try:
                    if COMPARED.get(key) == "as bytes":
                        got, expected = check_bytes(suite, case)
                    elif direction == "input":
                        got, expected = check_input(suite, case, name)
                    elif "error" in case:
                        got, expected = check_error(suite, case)
                    else:
                        got, expected = check_output(suite, case)
                except Exception as error:  # botocore's parser refuses the answer: a miss like any other
                    got, expected = repr(error), case.get("result", case.get("error"))
                if COMPARED.get(key) == "without empties":
                    got, expected = without_empties(got), without_empties(expected)
                total[f"{direction} {name}"] += 1
                if got == expected:
                    passed[f"{direction} {name}"] += 1
                if (got == expected) == (key in SKIPPED):
                    misses.append((key, expected, got))

for key in total:
    print(f"{key:40} {passed[key]}/{total[key]}")
print(f"{'total':40} {sum(passed.values())}/{sum(total.values())}, {len(COMPARED) - len(SKIPPED)} "
      f"of them compared another way, {len(SKIPPED)} exceptions with a reason")
for key, expected, got in misses:
    print(f"MISS {key}{' passes, but is an exception' if key in SKIPPED else ''}")
    print(f"  expected {json.dumps(expected)[:600]}\n  got      {json.dumps(got, default=str)[:600]}")
sys.exit(1 if misses or not total else 0)
