"""A small session-manager-plugin: opens the session that ExecuteCommand answered with, prints its output, and says the
exit code. Input is not sent: tests run commands that end by themselves.

Ref: aws/session-manager-plugin, src/message (the frame), src/datachannel (handshake and acknowledgements).
"""

import base64
import hashlib
import json
import os
import socket
import struct
import sys
import time
import urllib.parse
import uuid

LIMIT_S = 30
OUTPUT, HANDSHAKE_REQUEST, HANDSHAKE_RESPONSE, HANDSHAKE_COMPLETE, STDERR, EXIT_CODE = 1, 5, 6, 7, 11, 12


class WebSocket:
    """As much of RFC 6455 as a client needs: no fragments are sent, masks are."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port or 80), timeout=LIMIT_S)
        key = base64.b64encode(os.urandom(16)).decode()
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        assert head.startswith(b"HTTP/1.1 101") and accept in head, head

    def more(self):
        piece = self.socket.recv(65536)
        if not piece:
            raise EOFError("the connection was closed")
        self.buffer += piece

    def take(self, count):
        while len(self.buffer) < count:
            self.more()
        piece, self.buffer = self.buffer[:count], self.buffer[count:]
        return piece

    def send(self, opcode, data):
        mask = os.urandom(4)
        length = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0x80 | 126]) + struct.pack(">H", len(data))
        masked = bytes(byte ^ mask[n % 4] for n, byte in enumerate(data))
        self.socket.sendall(bytes([0x80 | opcode]) + length + mask + masked)

    def receive(self):
        """The next message's bytes; nothing when the other side closes."""
        first, second = self.take(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self.take(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self.take(8))
        data = self.take(length)
        if first & 0x0F == 8:
            return None
        if first & 0x0F == 9:
            self.send(10, data)
            return self.receive()
        return data


def encode(message_type, sequence, payload_type, payload):
    identity = uuid.uuid4().bytes
    return (
        struct.pack(">I32sIQqQ", 116, message_type.ljust(32).encode(), 1, int(time.time() * 1000), sequence,
                    3 if sequence == 0 and message_type == "acknowledge" else 0)
        + identity[8:] + identity[:8] + hashlib.sha256(payload).digest()
        + struct.pack(">II", payload_type, len(payload)) + payload
    )


def decode(data):
    length, name, _, _, sequence, _ = struct.unpack(">I32sIQqQ", data[:64])
    identity = uuid.UUID(bytes=data[72:80] + data[64:72])
    payload = data[length + 4:]
    assert data[80:112] == hashlib.sha256(payload).digest(), "the digest does not match"
    kind, size = struct.unpack(">II", data[112:length + 4])
    assert size == len(payload), (size, len(payload))
    return name.rstrip(b" \0").decode(), sequence, identity, kind, payload


def main():
    # Whatever the case of the names: Go's decoder, and so the real plugin, does not mind.
    session = {name[0].upper() + name[1:]: value for name, value in json.loads(sys.argv[1]).items()}
    channel = WebSocket(session["StreamUrl"])
    opened = {"MessageSchemaVersion": "1.0", "RequestId": str(uuid.uuid4()), "TokenValue": session["TokenValue"],
              "ClientId": str(uuid.uuid4()), "ClientVersion": "1.2.0.0"}
    channel.send(1, json.dumps(opened).encode())
    print(f"\nStarting session with SessionId: {session['SessionId']}", flush=True)
    expected, sequence, code = 0, 0, None
    while (data := channel.receive()) is not None:
        name, number, identity, kind, payload = decode(data)
        if name == "channel_closed":
            said = json.loads(payload).get("Output")
            print(said or "", flush=True)
            break
        if name != "output_stream_data":
            continue
        answer = {"AcknowledgedMessageType": name, "AcknowledgedMessageId": str(identity),
                  "AcknowledgedMessageSequenceNumber": number, "IsSequentialMessage": True}
        channel.send(2, encode("acknowledge", 0, 0, json.dumps(answer).encode()))
        if number < expected:
            continue
        assert number == expected, f"message {number} came, {expected} was due"
        expected += 1
        if kind in (OUTPUT, STDERR):
            sys.stdout.write(payload.decode(errors="replace"))
            sys.stdout.flush()
        elif kind == EXIT_CODE:
            code = int(payload)
        elif kind == HANDSHAKE_REQUEST:
            asked = json.loads(payload)["RequestedClientActions"]
            done = [{"ActionType": action["ActionType"], "ActionStatus": 1, "ActionResult": None} for action in asked]
            reply = {"ClientVersion": "1.2.0.0", "ProcessedClientActions": done, "Errors": []}
            channel.send(2, encode("input_stream_data", sequence, HANDSHAKE_RESPONSE, json.dumps(reply).encode()))
            sequence += 1
    if code is not None:
        print(f"session over with exit code {code}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print("The Session Manager plugin was installed successfully.")
    else:
        main()
