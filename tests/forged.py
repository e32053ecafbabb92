"""Archives and pictures that say what is not true, byte by byte."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

from .files import zip_bytes

MEGA = 2**20


def bomb_zip(part: str, unit: bytes, size: int, package: bytes) -> bytes:
    """A package in which a part unpacks to `size` bytes of `unit`, made without unpacking it here."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = (unit * (MEGA // len(unit) + 1))[:MEGA]
    start = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    count = size // MEGA
    packed = start + again * (count - 1) + packer.flush()
    check = 0
    for _ in range(count):
        check = zlib.crc32(block, check)
    others = [(info.filename, data) for info, data in _parts(package) if info.filename != part]
    archive = bytearray(zip_bytes(others))
    end = archive.rfind(b"PK\x05\x06")
    directory_size, directory = struct.unpack("<II", archive[end + 12 : end + 20])
    name = part.encode()
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 8, 0, 33, check, len(packed), size, len(name), 0) + name
    entry = (
        struct.pack(
            "<4s6H3I5H2I",
            b"PK\x01\x02",
            20,
            20,
            0,
            8,
            0,
            33,
            check,
            len(packed),
            size,
            len(name),
            0,
            0,
            0,
            0,
            0,
            directory,
        )
        + name
    )
    entries = bytes(archive[directory : directory + directory_size]) + entry
    moved = directory + len(local) + len(packed)
    tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, len(others) + 1, len(others) + 1, len(entries), moved, 0)
    return bytes(archive[:directory]) + local + packed + entries + tail


def png(
    width: int,
    height: int,
    packed: bytes,
    *,
    depth: int = 8,
    colour: int = 0,
    extra: list[tuple[bytes, bytes]] | None = None,
) -> bytes:
    """A PNG of these dimensions, whatever its data are."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    more = b"".join(chunk(kind, data) for kind, data in extra or ())
    return b"\x89PNG\r\n\x1a\n" + head + more + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def tiff(tags: list[tuple[int, int]], following: int = 0) -> bytes:
    """A TIFF with these tags and, after its directory, the place of the next."""
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)


def _parts(package: bytes) -> list[tuple[zipfile.ZipInfo, bytes]]:
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        return [(info, archive.read(info)) for info in archive.infolist()]


def claiming(package: bytes, part: str, size: int) -> bytes:
    """The package, with another size of a part in its directory."""
    name = part.encode()
    at = package.rfind(b"PK\x01\x02", 0, package.rfind(name))
    return package[: at + 24] + struct.pack("<I", size) + package[at + 28 :]
