"""botocore's paginators against the wire's own rule of which members hold a token (foundation/wire/src/token.rs).

usage: paginators.py ORACLE_BINARY BOTOCORE_SOURCE MODELS_DIRECTORY
Every paginator whose token is one plain member must be found, under the same names. Those that page by something else
(s3's keys, route53's record names) are left out, and counted.
"""

import glob
import json
import os
import sys

from oracle import Oracle

oracle = Oracle(sys.argv[1])
found, other, misses = 0, 0, []
for path in sorted(glob.glob(f"{sys.argv[3]}/*.json.gz")):
    service = os.path.basename(path)[:-8]
    paginators = {}
    for file in glob.glob(f"{sys.argv[2]}/botocore/data/{service}/*/paginators-1.json"):
        with open(file) as f:
            paginators.update(json.load(f)["pagination"])
    for operation, wanted in paginators.items():
        tokens = (wanted["input_token"], wanted["output_token"])
        if not all(isinstance(token, str) and token.isalpha() for token in tokens):
            other += 1
            continue
        got = oracle.ask(kind="paging", service=service, op=operation)
        if got is None and tokens[0].lower() not in ("nexttoken", "marker", "nextmarker", "paginationtoken"):
            other += 1
        elif got != list(tokens):
            misses.append((service, operation, tokens, got))
        else:
            found += 1
print(f"{'paginators':40} {found} found, {other} page by something else than one token")
for miss in misses:
    print(f"MISS {miss}")
sys.exit(1 if misses or not found else 0)
