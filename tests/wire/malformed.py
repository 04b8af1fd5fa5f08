"""Smithy's malformed-request cases for restJson1, as malformed.json tells them: each must get its error and its status.

usage: malformed.py ORACLE_BINARY
Every case of the 191 is a row or an exception with a reason. Ends with 1 on a miss, and when a case is left out or twice.
A sound request of every group is sent first: a parser that refuses everything would pass else.
"""

import base64
import json
import os
import sys

from oracle import Oracle

CASES = 191
oracle = Oracle(sys.argv[1])
with open(os.path.join(os.path.dirname(__file__), "malformed.json")) as f:
    FILE = json.load(f)

# A sound value of each type in the body, and as text elsewhere.
SOUND = {"blob": ('"YWJjZA=="', None), "boolean": ("true", "true"), "byte": ("-128", "127"),
         "short": ("-32768", "32767"), "integer": ("5", "5"), "long": ("5", "5"), "float": ("5", "5"), "double": ("5.5", "5.5")}
SOUND_TIMES = {None: ("1515531081", "Tue, 29 Apr 2014 18:30:38 GMT", "2014-04-29T18:30:38Z"),
               "iso8601": ('"2014-04-29T18:30:38Z"',) + ("2014-04-29T18:30:38Z",) * 2,
               "rfc822": ('"Tue, 29 Apr 2014 18:30:38 GMT"',) + ("Tue, 29 Apr 2014 18:30:38 GMT",) * 2,
               "unixTimestamp": ("1515531081.5",) * 3}


def model(group):
    traits = group.get("traits", {})
    simple = group["shapes"][group["of"]]["type"] not in ("structure", "list", "map")
    members = {"inBody": {"shape": group["of"]}}
    if simple:
        members["inPath"] = {"shape": group["of"], "location": "uri", "locationName": "inPath"}
        members["inQuery"] = {"shape": group["of"], "location": "querystring", "locationName": "inQuery"}
        members["inHeader"] = {"shape": group["of"], "location": "header", "locationName": "in-header", **traits}
    shapes = {"Input": {"type": "structure", "members": members, "required": group.get("required", [])}}
    return {
        "metadata": {"protocol": "rest-json", "apiVersion": "2026-01-01", "endpointPrefix": "suite"},
        "operations": {"Send": {"name": "Send", "http": {"method": "POST", "requestUri": "/send"}, "input": {"shape": "Input"}},
                       "SendTo": {"name": "SendTo", "http": {"method": "POST", "requestUri": "/send/{inPath}"}, "input": {"shape": "Input"}}},
        "shapes": {**shapes, **group["shapes"]},
    }


def request(place, value):
    headers, uri, body, operation = {}, "/send", "", "Send"
    if place == "path":
        uri, operation = f"/send/{value}", "SendTo"
    elif place == "query":
        uri = f"/send?inQuery={value}" if value else "/send?inQuery"
    elif place == "header":
        headers["in-header"] = value
    else:
        if place == "text":
            value = json.dumps(value)
        body = value if place == "raw" else f'{{"inBody" : {value}}}'
        headers["content-type"] = "application/json"
    return operation, {"method": "POST", "uri": uri, "headers": headers, "body": base64.b64encode(body.encode()).decode()}


def send(model, operation, wanted):
    answer = oracle.ask(kind="parse", model=model, op=operation, protocol="rest-json", request=wanted)
    reply = answer.get("reply")
    if reply is None:
        return None, answer
    code = dict(reply["headers"]).get("x-amzn-errortype")
    return (reply["status"], code), base64.b64decode(reply["body"]).decode()


misses, seen, sent = [], [], 0


def expect(case, value, got, wanted, text=""):
    global sent
    sent += 1
    if got != wanted:
        misses.append((case, value, wanted, got, text))


def sound(group):
    shape = group["shapes"][group["of"]]
    kind = shape["type"]
    if kind == "timestamp":
        values = dict(zip(("body", "header", "query"), SOUND_TIMES[shape.get("timestampFormat")]))
    elif kind in SOUND:
        values = dict(zip(("body", "query"), SOUND[kind]))
    else:
        return
    for place, value in values.items():
        if value is not None:
            operation, wanted = request(place, value.replace(" ", "%20") if place == "query" else value)
            expect(f"a sound {kind}", (place, value), send(model(group), operation, wanted)[0], None)


def sound_set(group):
    """One item of a list whose items are unique."""
    first = json.dumps(json.loads(group["rows"][0][2][0])[:1])
    expect("a list of one item", first, send(model(group), *request("body", first))[0], None)


for group in FILE["groups"]:
    if "answer" not in group:
        sound(group)
    elif group["shapes"][group["of"]].get("uniqueItems"):
        sound_set(group)
    for case, place, values, *code in group["rows"]:
        seen.append(case)
        for value in values:
            operation, wanted = request(place, value)
            got, text = send(model(group), operation, wanted)
            code_wanted = code[0] if code else group.get("answer", "SerializationException")
            expect(case, value, got, (400, code_wanted), text)
            if group.get("hidden") and group["hidden"] in str(text):
                misses.append((case, value, "the value hidden", got, text))

def send_types(case):
    bodies = {"structure": {"type": "structure", "members": {"x": {"shape": "Text"}}},
              "header": {"type": "structure", "members": {"x": {"shape": "Text", "location": "header", "locationName": "x"}}},
              "string": {"type": "structure", "members": {"x": {"shape": "Text"}}, "payload": "x"},
              "picture": {"type": "structure", "members": {"x": {"shape": "Picture"}}, "payload": "x"}}
    shapes = {"Text": {"type": "string"}, "Picture": {"type": "blob", "mediaType": "image/jpeg"}}
    operation = {"name": "Send", "http": {"method": "POST", "requestUri": "/send"}}
    for side in ("input", "output"):
        if side in case:
            shapes[side] = bodies[case[side]]
            operation[side] = {"shape": side}
    made = {"metadata": {"protocol": "rest-json", "apiVersion": "2026-01-01", "endpointPrefix": "suite"},
            "operations": {"Send": operation}, "shapes": shapes}
    wanted = {"method": "POST", "uri": "/send", "headers": case["headers"],
              "body": base64.b64encode(case.get("body", "").encode()).decode()}
    return send(made, "Send", wanted)


for case in FILE["types"]:
    seen.append(case["id"])
    got, text = send_types(case)
    expect(case["id"], case["headers"], got, (case["status"], case["answer"]), text)
picture = {"input": "picture", "output": "picture", "body": "x", "headers": {"content-type": "image/jpeg", "accept": "image/jpeg"}}
expect("a payload of its type", picture["headers"], send_types(picture)[0], None)

excepted = [case for exception in FILE["exceptions"] for case in exception["ids"]]
every = seen + excepted
for case in sorted({case for case in every if every.count(case) > 1}):
    misses.append((case, "", "once", "twice", ""))
if len(every) != CASES:
    misses.append(("all cases", "", CASES, len(every), ""))
print(f"{'malformed requests':40} {len(seen)} of {CASES} cases, {sent} requests, {len(excepted)} exceptions with a reason")
for case, value, wanted, got, text in misses:
    print(f"MISS {case} {value!r}\n  expected {wanted}\n  got      {got} {str(text)[:300]}")
sys.exit(1 if misses else 0)
