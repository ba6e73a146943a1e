"""A virtual PIV card (NIST SP 800-73) and the readers it is put into: vpcd is the reader's hardware, this is the card.

The card is real in everything that matters here: it is inserted and pulled, counts wrong PINs down to its lock, and signs
with a key that never leaves it. pcscd runs on a socket, a configuration and ports of its own; the machine's is not touched.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from cards_for_tests import TestCard
from cryptography.hazmat.primitives.asymmetric import rsa

OPENSC = "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so"
_VPCD = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so"
_POWER_OFF, _POWER_ON, _RESET, _SEND_ATR = 0, 1, 2, 4
# A new card is asked for its ATR twice before it gets power (measured); a mute one at every look, 0.4 s apart, for ever.
_LOOKS_WITHOUT_POWER = 5
_ATR = bytes.fromhex("3b8580018073c0210016")
_APPLICATION = bytes.fromhex("a000000308")
_PROPERTIES = bytes.fromhex("61114f0600001000010079074f05a000000308")
_DISCOVERY, _CHUID = bytes.fromhex("7e"), bytes.fromhex("5fc102")
# Key reference and certificate object: 9A is for authentication; 9C is for signatures and wants the PIN right before each.
_FOR_SIGNATURES = 0x9C
_SLOTS = ((0x9A, bytes.fromhex("5fc105")), (_FOR_SIGNATURES, bytes.fromhex("5fc10a")))
_DONE, _NOT_FOUND, _BAD_DATA, _BLOCKED = b"\x90\x00", b"\x6a\x82", b"\x6a\x80", b"\x69\x83"
_PIN_NEEDED, _UNKNOWN = b"\x69\x82", b"\x6d\x00"


def _tlv(tag: str, value: bytes) -> bytes:
    size = len(value)
    length = bytes([size]) if size < 0x80 else b"\x81" + bytes([size]) if size < 0x100 else b"\x82" + size.to_bytes(2)
    return bytes.fromhex(tag) + length + value


class VirtualCard:
    """A card with one or two certificates; `insert` puts it into a reader, `pull` takes it out."""

    def __init__(self, *held: TestCard, pin: str = "123456", tries: int = 3, number: bytes | None = None) -> None:
        self.pin = pin.encode().ljust(8, b"\xff")
        self.allowed = self.tries = tries
        self.verifications = 0
        self.is_for_signing = True
        self.when_signing: Callable[[], None] = lambda: None
        self.when_verifying: Callable[[], None] = lambda: None
        number = (number or os.urandom(16)).rjust(25, b"\0")  # its end becomes the token's serial number
        chuid = _tlv("30", number) + _tlv("34", bytes(16)) + _tlv("35", b"20991231") + _tlv("3e", b"") + _tlv("fe", b"")
        self.objects = {
            _DISCOVERY: _tlv(
                "7e", _tlv("4f", _APPLICATION + bytes.fromhex("000010000100")) + _tlv("5f2f", b"\x40\x00")
            ),
            _CHUID: _tlv("53", chuid),
        }
        self.keys: dict[int, rsa.RSAPrivateNumbers] = {}
        for (reference, tag), card in zip(_SLOTS, held, strict=False):
            assert isinstance(card.key, rsa.RSAPrivateKey)
            self.keys[reference] = card.key.private_numbers()
            self.objects[tag] = _tlv("53", _tlv("70", card.der) + _tlv("71", b"\x00") + _tlv("fe", b""))
        self._line: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._asked: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._forget()

    def _forget(self) -> None:
        """Lose what a card loses without power."""
        self.verified = self._just_verified = False
        self._sent = self._waiting = b""

    def insert(self, port: int) -> None:
        """Put the card into the reader that listens on this port, and return when the reader has given it power."""
        for _ in range(5):
            self._plug_in(port)
            if self._gets_power():
                return
            self.pull()
        raise AssertionError("the reader gives the card no power")

    def _plug_in(self, port: int) -> None:
        self._forget()
        self._asked = queue.SimpleQueue()
        self._line = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._line.settimeout(None)
        self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._thread = threading.Thread(target=self._live, args=(self._line, self._asked), daemon=True)
        self._thread.start()

    def _gets_power(self) -> bool:
        """Tell whether the reader takes this card for a new one.

        When a card is pulled out of its work, vpcd hangs up on it outside of its look for cards, and takes the next
        connection before that look: pcscd never notices that the card has gone, and the next one stays mute for ever.
        A hardware reader has a switch that no swap is too quick for. Pulled while idle, the card is missed at the look.
        """
        looks = 0
        while looks < _LOOKS_WITHOUT_POWER:
            match self._asked.get(timeout=10):
                case None:
                    return False
                case what if what == _POWER_ON:
                    return True
                case what if what == _SEND_ATR:
                    looks += 1
        return False

    def pull(self) -> None:
        """Take the card out, whatever it is doing."""
        line, self._line = self._line, None
        if line is None:
            return
        with contextlib.suppress(OSError):  # the reader may have hung up first
            line.shutdown(socket.SHUT_RDWR)
        line.close()
        if self._thread is not threading.current_thread() and self._thread is not None:
            self._thread.join(10)

    def _live(self, line: socket.socket, asked: queue.SimpleQueue[int | None]) -> None:
        try:
            while (message := _received(line)) is not None:
                if len(message) == 1:
                    answer = self._control(message[0])
                    asked.put(message[0])
                else:
                    answer = self.answer(message)
                if answer is not None:
                    line.sendall(len(answer).to_bytes(2) + answer)
        except OSError:
            return  # pulled
        finally:
            asked.put(None)

    def _control(self, what: int) -> bytes | None:
        if what == _SEND_ATR:
            return _ATR
        if what in (_POWER_OFF, _POWER_ON, _RESET):
            self._forget()
        return None

    def answer(self, command: bytes) -> bytes:
        """Return the card's answer to a command: at most as much as was asked for, the rest on GET RESPONSE."""
        cla, ins, _, p2 = command[:4]
        size = command[4] if len(command) > 5 else 0
        data, expected = command[5 : 5 + size], command[5 + size :] if len(command) > 5 else command[4:]
        if cla & 0x10:
            self._sent += data
            return _DONE
        data, self._sent = self._sent + data, b""
        just_verified, self._just_verified = self._just_verified, False
        if ins != 0xC0:
            answer, status = self._act(ins, p2, data, just_verified)
            self._waiting = answer
            if status != _DONE:
                return answer + status
        size = (expected[0] if expected else 0) or 256
        given, self._waiting = self._waiting[:size], self._waiting[size:]
        return given + (b"\x61" + bytes([min(len(self._waiting), 255)]) if self._waiting else _DONE)

    def _act(self, ins: int, p2: int, data: bytes, just_verified: bool) -> tuple[bytes, bytes]:
        match ins if self.is_for_signing else 0:
            case 0xA4:
                return (_PROPERTIES, _DONE) if data.startswith(_APPLICATION) else (b"", _NOT_FOUND)
            case 0xCB:
                found = self.objects.get(data[2:])
                return (b"", _NOT_FOUND) if found is None else (found, _DONE)
            case 0x20:
                return b"", self._verify(data)
            case 0x87:
                return self._sign(p2, data, just_verified)
            case _:
                return b"", _UNKNOWN

    def _verify(self, data: bytes) -> bytes:
        if self.tries == 0:
            return _BLOCKED
        if not data:
            return _DONE if self.verified else bytes([0x63, 0xC0 | self.tries])
        self.when_verifying()
        self.verifications += 1
        self.verified = self._just_verified = data == self.pin
        self.tries = self.allowed if self.verified else self.tries - 1
        if self.verified:
            return _DONE
        return bytes([0x63, 0xC0 | self.tries]) if self.tries else _BLOCKED

    def _sign(self, reference: int, data: bytes, just_verified: bool) -> tuple[bytes, bytes]:
        if reference not in self.keys:
            return b"", _NOT_FOUND
        if not self.verified or (reference == _FOR_SIGNATURES and not just_verified):
            return b"", _PIN_NEEDED
        challenge = data.rpartition(bytes.fromhex("81820100"))[2]
        if len(challenge) != 256:
            return b"", _BAD_DATA
        self.when_signing()
        numbers = self.keys[reference]
        signature = pow(int.from_bytes(challenge), numbers.d, numbers.public_numbers.n).to_bytes(256)
        return _tlv("7c", _tlv("82", signature)), _DONE


def _received(line: socket.socket) -> bytes | None:
    """Return the next message of the reader, or None when it has hung up."""
    header = _exactly(line, 2)
    return None if header is None else _exactly(line, int.from_bytes(header))


def _exactly(line: socket.socket, count: int) -> bytes | None:
    got = b""
    while len(got) < count:
        # Or the reader's next bytes wait 40 ms for our acknowledgement.
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        more = line.recv(count - len(got))
        if not more:
            return None
        got += more
    return got


class Readers:
    """pcscd with two virtual card readers, or with none; its clients find it by the environment variable."""

    def __init__(self, directory: Path, *, ports: tuple[int, int] | None) -> None:
        self.ports = ports or ()
        configuration = directory / "reader.conf.d"
        configuration.mkdir(parents=True)
        if ports:
            (configuration / "vpcd").write_text(
                f'FRIENDLYNAME "Virtual PCD"\nDEVICENAME /dev/null:0x{ports[0]:X}\n'
                f"LIBPATH {_VPCD}\nCHANNELID 0x{ports[0]:X}\n"
            )
        self.socket_path = directory / "pcscd.comm"
        self.environment = {"PCSCLITE_CSOCK_NAME": str(self.socket_path)}
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.socket_path))
            listener.listen(16)
            # The socket is handed over as a service manager does it: as descriptor 3, to this very process.
            handed = (
                "exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec /usr/sbin/pcscd --foreground --config"
            )
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", f'{handed} "$0"', str(configuration)],
                stdin=listener.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip

    def wait_until_ready(self) -> None:
        """Return when both readers take a card."""
        for port in self.ports:
            end = time.monotonic() + 10
            while not _listens(port):
                assert self.process.poll() is None, "pcscd has ended"
                assert time.monotonic() < end, "the reader does not answer"
                time.sleep(0.05)

    def stop(self) -> None:
        """End pcscd and wait for it."""
        self.process.terminate()
        self.process.wait(10)


def _listens(port: int) -> bool:
    """Tell whether someone listens, without connecting: a connection would be a card."""
    wanted = f"{port:04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(row.split()[1].endswith(":" + wanted) and row.split()[3] == "0A" for row in lines)
