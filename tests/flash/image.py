"""Firmware images as `cargo xtask firmware` makes them, but small."""

import hashlib
import random
import struct

CHIP_IDS = {"esp32": 0, "esp32c3": 5, "esp32s3": 9, "esp32c6": 13}
TITLES = {"esp32": "ESP32", "esp32c3": "ESP32-C3", "esp32s3": "ESP32-S3", "esp32c6": "ESP32-C6"}
BOOTLOADER = {"esp32": 0x1000, "esp32c3": 0, "esp32s3": 0, "esp32c6": 0}
TABLE = 0x8000
BOOT_CHOICE = (0xE000, 0x2000)
APP = 0x10000
SETTINGS = (0x3D0000, 0x10000)


def program(chip, data):
    """A program of one segment, in the format of ESP-IDF."""
    header = bytearray(24)
    header[0:4] = [0xE9, 1, 2, 0x20]
    struct.pack_into("<H", header, 12, CHIP_IDS[chip])
    header[23] = 1  # a hash follows
    data = data + bytes(-len(data) % 4)
    image = bytes(header) + struct.pack("<II", 0x3C000020, len(data)) + data
    checksum = 0xEF
    for byte in data:
        checksum ^= byte
    image += bytes(15 - len(image) % 16) + bytes([checksum])
    return image + hashlib.sha256(image).digest()


def partition_table():
    entries = b""
    for name, kind, subtype, offset, size in (
        ("nvs", 1, 2, 0x9000, 0x5000),
        ("otadata", 1, 0, *BOOT_CHOICE),
        ("ota_0", 0, 0x10, APP, 0x1E0000),
        ("ota_1", 0, 0x11, 0x1F0000, 0x1E0000),
        ("declic", 1, 6, *SETTINGS),
    ):
        entries += b"\xaa\x50" + struct.pack("<BBII16sI", kind, subtype, offset, size, name.encode(), 0)
    entries += b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(entries).digest()
    return entries.ljust(0xC00, b"\xff")


def parts(chip):
    """What is to be written, by offset. The application is half noise and half compressible."""
    noise = random.Random(chip).randbytes(60_000)
    return {
        BOOTLOADER[chip]: program(chip, b"bootloader" * 1000),
        TABLE: partition_table(),
        BOOT_CHOICE[0]: b"\xff" * BOOT_CHOICE[1],
        APP: program(chip, noise + b"declic" * 10_000),
    }


def merged(chip):
    image = bytearray()
    for offset, part in sorted(parts(chip).items()):
        image.extend(b"\xff" * (offset - len(image)))
        image.extend(part)
    return bytes(image)
