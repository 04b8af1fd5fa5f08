"""Runs the wire's tests: Smithy's malformed requests, botocore's protocol suites, the fuzz over every embedded model.

usage: run.py [SAMPLES [SEED]]   from the repository; needs pip, cargo and python3 with venv.
botocore comes from pip, pinned by hash, into target/wire; nothing of it is committed.
"""

import os
import subprocess
import sys
import tarfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORK = os.path.join(ROOT, "target/wire")
VERSION = "1.44.5"
SOURCE_SHA256 = "a988f39e3a4484def0b8010f41128f71157da0515a4804fccce4739aa8f216da"
SAMPLES = sys.argv[1] if len(sys.argv) > 1 else "3"
SEED = sys.argv[2] if len(sys.argv) > 2 else "7"


def run(*command):
    print("+", *command, flush=True)
    subprocess.run(command, check=True, cwd=ROOT)


source = os.path.join(WORK, f"botocore-{VERSION}")
python = os.path.join(WORK, "venv/bin/python")
if not os.path.exists(source):
    os.makedirs(WORK, exist_ok=True)
    requirements = os.path.join(WORK, "source.txt")
    with open(requirements, "w") as f:
        f.write(f"botocore=={VERSION} --hash=sha256:{SOURCE_SHA256}\n")
    run("python3", "-m", "venv", os.path.join(WORK, "venv"))
    run(python, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:",
        "--require-hashes", "--dest", WORK, "-r", requirements)
    run(python, "-m", "pip", "install", "--quiet", f"botocore=={VERSION}")
    with tarfile.open(source + ".tar.gz") as archive:
        archive.extractall(WORK, filter="data")
# Chosen from the workspace, not as the package: so it has the features of the other tests, and builds nothing anew.
run("cargo", "build", "--quiet", "--workspace", "--example", "oracle")
oracle = os.path.join(ROOT, "target/debug/examples/oracle")
here = os.path.dirname(os.path.abspath(__file__))
run(python, os.path.join(here, "malformed.py"), oracle)
run(python, os.path.join(here, "suites.py"), oracle, source)
run(python, os.path.join(here, "paginators.py"), oracle, source, os.path.join(ROOT, "models"))
run(python, os.path.join(here, "fuzz.py"), oracle, os.path.join(ROOT, "models"), SAMPLES, SEED)
