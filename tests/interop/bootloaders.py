"""Simulated bootloaders, as far as the tools that flash boards talk to them."""

from __future__ import annotations

import hashlib
import struct
from typing import ClassVar

__all__ = ["Esp32", "Stk500"]


class Esp32:
    """The loader in an ESP32's ROM (docs.espressif.com/projects/esptool, Serial Protocol).

    It has the registers that tell the chip, and a flash.  ``play`` takes what comes.
    """

    REGISTERS: ClassVar = {
        0x40001000: 0x00F01D83,  # CHIP_DETECT_MAGIC
        0x3FF5A004: 0x12345678,  # the efuses with the MAC address
        0x3FF5A008: 0x0000ABCD,
        0x3FF40014: 347,  # the divider that makes 115200 baud of 40 MHz
        0x3FF42080: 0x001640EF,  # what the flash says it is: 4 MB
    }

    SYNC, READ_REGISTER, SECURITY, MD5 = 0x08, 0x0A, 0x14, 0x13
    FLASH_BEGIN, FLASH_DATA, CHANGE_BAUDRATE = 0x02, 0x03, 0x0F

    def __init__(self) -> None:
        self.flash = bytearray(b"\xff" * 0x10000)
        self.asked_rates: list[int] = []
        self.synced = 0
        self._where = self._block = 0
        self._frame = b""

    def play(self, data: bytes) -> bytes:
        *frames, self._frame = (self._frame + data).split(b"\xc0")
        return b"".join(map(self._answer, filter(None, frames)))

    def _answer(self, frame: bytes) -> bytes:
        frame = frame.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")
        if len(frame) < 8 or frame[0] != 0:
            return b""
        code, body, value, result, status = frame[1], frame[8:], 0, b"", 0
        word = struct.unpack_from("<I", body)[0] if len(body) >= 4 else 0
        match code:
            case self.SYNC:
                self.synced += 1
                return self._reply(code, 0, bytes(4)) * 8
            case self.READ_REGISTER:
                value = self.REGISTERS.get(word, 0)
            case self.SECURITY:
                status = 1  # an ESP32 does not know it
            case self.CHANGE_BAUDRATE:
                self.asked_rates.append(word)
            case self.FLASH_BEGIN:
                self._block, self._where = struct.unpack_from("<II", body, 8)
            case self.FLASH_DATA:
                number = struct.unpack_from("<I", body, 4)[0]
                at = self._where + number * self._block
                self.flash[at : at + word] = body[16 : 16 + word]
            case self.MD5:
                length = struct.unpack_from("<I", body, 4)[0]
                result = hashlib.md5(self.flash[word : word + length]).hexdigest().encode()
        return self._reply(code, value, result + bytes((status, 5 * status)))

    @staticmethod
    def _reply(code: int, value: int, body: bytes) -> bytes:
        reply = struct.pack("<BBHI", 1, code, len(body), value) + body
        return b"\xc0" + reply.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


class Stk500:
    """An Arduino's bootloader: STK500 version 1 (Atmel AVR061), an ATmega328P."""

    LENGTHS: ClassVar = {0x41: 3, 0x42: 22, 0x45: 7, 0x55: 4, 0x56: 6, 0x74: 5}
    """How long the commands with arguments are, with the end; the others have two bytes."""

    def __init__(self) -> None:
        self.flash = bytearray(b"\xff" * 0x8000)
        self._at = 0
        self._kept = b""

    def play(self, data: bytes) -> bytes:
        self._kept += data
        answers = b""
        while self._kept:
            code = self._kept[0]
            length = self.LENGTHS.get(code, 2)
            if code == 0x64 and len(self._kept) >= 3:  # PROG_PAGE with its data
                length = 5 + int.from_bytes(self._kept[1:3], "big")
            if len(self._kept) < length or (code == 0x64 and len(self._kept) < 3):
                break
            request, self._kept = self._kept[:length], self._kept[length:]
            answers += b"\x14" + self._answer(request) + b"\x10"
        return answers

    def _answer(self, request: bytes) -> bytes:
        match request[0]:
            case 0x41:  # GET_PARAMETER
                return b"\x04"
            case 0x55:  # LOAD_ADDRESS, in words
                self._at = 2 * int.from_bytes(request[1:3], "little")
            case 0x56:  # UNIVERSAL
                return b"\0"
            case 0x64:
                self.flash[self._at : self._at + len(request) - 5] = request[4:-1]
            case 0x74:  # READ_PAGE
                return bytes(self.flash[self._at : self._at + int.from_bytes(request[1:3], "big")])
            case 0x75:  # READ_SIGN
                return b"\x1e\x95\x0f"
        return b""
