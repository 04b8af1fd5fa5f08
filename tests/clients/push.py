"""Pushes a busybox image: push.py REPOSITORY TAG [MARK]; prints its name."""

import json
import sys

from common import push

if __name__ == "__main__":
    print(json.dumps({"image": push(*sys.argv[1:])}))
