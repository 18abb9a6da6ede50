"""A multipart form with one file, read as it arrives (RFC 7578)."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from serve_app.api import filenames
from serve_app.errors import BadRequest, InvalidField, Unavailable, UploadTooLarge

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FILE_FIELD = "file"

# More than any form of ours needs, and too little to fill memory with.
MAX_FIELDS_BYTES = 64 * 1024

_QUOTED_NAME = re.compile(rb'filename="((?:[^"\\]|\\.)*)"', re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class FormRules:
    """The text fields of a form that are read beside its file, and the file's limit."""

    fields: tuple[str, ...]
    max_file_bytes: int

    @property
    def max_body_bytes(self) -> int:
        """The longest body that may hold such a form."""
        return self.max_file_bytes + MAX_FIELDS_BYTES


@dataclass(frozen=True)
class Form:
    """A form that was read: its file, written to a path, and its text fields."""

    filename: str
    size_bytes: int
    sha256: str
    fields: Sequence[tuple[str, str]]


@dataclass
class _Part:
    header: bytearray = field(default_factory=bytearray)
    header_name: bytearray = field(default_factory=bytearray)
    disposition: bytes = b""
    name: str = ""
    text: bytearray = field(default_factory=bytearray)
    is_file: bool = False
    is_ignored: bool = False


class FormReader:
    """Reads one form, writing its file to `path`, and refuses it as soon as it can."""

    def __init__(self, content_type: str, path: Path, rules: FormRules) -> None:
        self._path, self._rules = path, rules
        self._part = _Part()
        self._file: BinaryIO | None = None
        self._filename: str | None = None
        self._hash = hashlib.sha256()
        self._size_bytes = 0
        self._text_bytes = 0
        self._fields: list[tuple[str, str]] = []
        self._has_ended = False
        self._parser = self._make_parser(content_type)

    def feed(self, data: bytes) -> None:
        """Read the next bytes of the body; raises what is wrong with the form."""
        with _translated():
            self._parser.write(data)

    def finish(self) -> Form:
        """Return the form after its last byte; raises what it lacks."""
        if not self._has_ended:
            raise _malformed()
        if self._filename is None:
            raise InvalidField(
                "There is no file in the form. Send the song as the multipart field "
                "`file`: curl -F file=@song.mp3.",
                FILE_FIELD,
            )
        with _translated():
            self.close()
        digest = self._hash.hexdigest()
        return Form(self._filename, self._size_bytes, digest, tuple(self._fields))

    def close(self) -> None:
        """Close the file; it stays where it is."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _make_parser(self, content_type: str) -> MultipartParser:
        kind, parameters = parse_options_header(content_type)
        if kind != b"multipart/form-data":
            raise BadRequest(
                "Send the song as multipart/form-data, in the field `file`: "
                "curl -F file=@song.mp3. Or say where it is, as JSON: "
                '{"url": "https://…"}.'
            )
        if not parameters.get(b"boundary"):
            raise _malformed()
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._begin_part,
            "on_header_field": self._add_header_name,
            "on_header_value": self._add_header_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._open_part,
            "on_part_data": self._add_data,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }
        with _translated():
            return MultipartParser(parameters[b"boundary"], callbacks)

    def _begin_part(self) -> None:
        self._part = _Part()

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._part.header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._part.header += data[start:end]

    def _end_header(self) -> None:
        if self._part.header_name.lower() == b"content-disposition":
            self._part.disposition = bytes(self._part.header)
        self._part.header_name.clear()
        self._part.header.clear()

    def _open_part(self) -> None:
        part = self._part
        _, options = parse_options_header(part.disposition)
        if b"name" not in options:
            raise _malformed()
        part.name = options[b"name"].decode("utf-8", "replace")
        part.is_file = b"filename" in options
        if part.name != FILE_FIELD:
            # Clients send what other servers know, be it text or a file.
            part.is_ignored = part.name not in self._rules.fields
            if part.is_file and not part.is_ignored:
                raise InvalidField(
                    f"The field {part.name!r} is text, not a file.", part.name
                )
            return
        if not part.is_file:
            raise InvalidField(
                "The field `file` is text. Send it as a file, with a file name: "
                "curl -F file=@song.mp3.",
                FILE_FIELD,
            )
        if self._filename is not None:
            raise InvalidField(
                "There are two files in the form. Send one song per request.",
                FILE_FIELD,
            )
        # The parser drops the folders of a Windows path; here they are refused.
        quoted = _QUOTED_NAME.search(part.disposition)
        name = quoted.group(1) if quoted else options[b"filename"]
        self._filename = filenames.checked(name.decode("utf-8", "replace"))
        self._file = self._path.open("xb")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.is_ignored:
            return
        if self._file is None or not self._part.is_file:
            self._text_bytes += end - start
            if self._text_bytes > MAX_FIELDS_BYTES:
                name = self._part.name
                raise InvalidField("The text fields are too long. Shorten them.", name)
            self._part.text += data[start:end]
            return
        self._size_bytes += end - start
        if self._size_bytes > self._rules.max_file_bytes:
            raise too_large(self._rules)
        piece = memoryview(data)[start:end]
        self._hash.update(piece)
        self._file.write(piece)

    def _end_part(self) -> None:
        if not self._part.is_file and not self._part.is_ignored:
            text = self._part.text.decode("utf-8", "replace")
            self._fields.append((self._part.name, text))

    def _end(self) -> None:
        self._has_ended = True


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except FormParserError as err:
        raise _malformed() from err
    except OSError as err:
        raise Unavailable(
            "The server could not write the upload to its disk. Try again later."
        ) from err


def too_large(rules: FormRules) -> UploadTooLarge:
    """Make the error for a file over the limit."""
    mebibytes = rules.max_file_bytes / 1024**2
    return UploadTooLarge(
        f"The file is larger than the {mebibytes:.4g} MiB that are taken here. "
        "Send a shorter song or a compressed one: flac, mp3, m4a."
    )


def _malformed() -> BadRequest:
    return BadRequest(
        "The form is malformed or was cut off: it has no boundary, a part without a "
        "name, or no end. Send it again as multipart/form-data."
    )
