"""Makes an OCI image layout with busybox and nothing else, without a build tool: image.py DIR [MARK [BYTES]].

BYTES of noise make it large.
"""

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile


def busybox():
    for path in ("/bin/busybox", "/usr/bin/busybox"):
        if os.path.isfile(path):
            return path
    raise SystemExit("busybox is missing; run: apt-get install -y busybox-static")


def layer(mark, noise):
    """A gzipped tar: busybox, a link for each of its applets, and the few files that programs expect."""
    binary = busybox()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:

        def add(name, kind, data=b"", mode=0o755, link=""):
            info = tarfile.TarInfo(name)
            info.type, info.size, info.mode, info.linkname = kind, len(data), mode, link
            tar.addfile(info, io.BytesIO(data))

        for name in ("bin", "etc", "root", "tmp", "proc", "sys", "dev", "srv"):
            add(name, tarfile.DIRTYPE, mode=0o1777 if name == "tmp" else 0o755)
        with open(binary, "rb") as file:
            add("bin/busybox", tarfile.REGTYPE, file.read())
        applets = subprocess.run([binary, "--list"], check=True, capture_output=True, text=True, timeout=10)
        for applet in applets.stdout.split():
            if applet != "busybox":
                add(f"bin/{applet}", tarfile.SYMTYPE, link="busybox")
        add("etc/passwd", tarfile.REGTYPE, b"root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n", 0o644)
        add("etc/group", tarfile.REGTYPE, b"root:x:0:\nnogroup:x:65534:\n", 0o644)
        add("etc/mark", tarfile.REGTYPE, mark.encode(), 0o644)
        if noise:
            add("srv/noise", tarfile.REGTYPE, os.urandom(noise), 0o644)
    return out.getvalue()


def write(directory, mark="1", noise="0"):
    """Writes the layout and returns the manifest's digest."""
    blobs = os.path.join(directory, "blobs/sha256")
    os.makedirs(blobs, exist_ok=True)

    def blob(data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        with open(os.path.join(blobs, digest), "wb") as file:
            file.write(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    tar = layer(mark, int(noise))
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/bin", f"FROM_IMAGE=mark-{mark}"], "Cmd": ["/bin/sh"], "WorkingDir": "/root"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]},
        "history": [{"created_by": "tests/clients/image.py"}],
    }
    oci = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{oci}.manifest.v1+json",
        "config": blob(json.dumps(config).encode(), f"{oci}.config.v1+json"),
        "layers": [blob(gzip.compress(tar, 1, mtime=0), f"{oci}.layer.v1.tar+gzip")],
    }
    entry = blob(json.dumps(manifest).encode(), manifest["mediaType"])
    entry["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    with open(os.path.join(directory, "index.json"), "w") as file:
        json.dump({"schemaVersion": 2, "manifests": [entry]}, file)
    with open(os.path.join(directory, "oci-layout"), "w") as file:
        json.dump({"imageLayoutVersion": "1.0.0"}, file)
    return entry["digest"]


if __name__ == "__main__":
    print(json.dumps({"digest": write(*sys.argv[1:])}))
