"""A streaming reader of a multipart form with one file (RFC 7578)."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from serve_app.errors import (
    BadRequest,
    InvalidField,
    Unavailable,
    UploadTooLarge,
    disk_full_as_unavailable,
)
from serve_app.filenames import content_disposition, titles

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FILE_FIELD = "file"

# More than any form needs, and too little to exhaust memory.
MAX_FIELDS_BYTES = 64 * 1024

# Starlette's own limit: each part costs time, though little memory.
_MOST_PARTS = 1000
_MOST_IGNORED_NAMES = 20
_LONGEST_NAME_SHOWN = 40

# A text `file` up to this length is taken for a mistake, such as a path. Songs are
# longer.
_LONGEST_PATH_BYTES = 4096


@dataclass(frozen=True)
class FormRules:
    """The known text fields of a form, and the size limit of its file."""

    fields: tuple[str, ...]
    max_file_bytes: int

    @property
    def max_body_bytes(self) -> int:
        """The size limit of the whole body."""
        return self.max_file_bytes + MAX_FIELDS_BYTES


@dataclass(frozen=True)
class Form:
    """The fields of a form, and facts of its file, which lies in the reader's path.

    `ignored` names the first unknown fields.
    """

    filename: str
    size_bytes: int
    sha256: str
    fields: Sequence[tuple[str, str]]
    ignored: Sequence[str] = ()


@dataclass
class _Part:
    header: bytearray = field(default_factory=bytearray)
    header_name: bytearray = field(default_factory=bytearray)
    disposition: bytes = b""
    has_type: bool = False
    has_type_first: bool = False
    name: str = ""
    text: bytearray = field(default_factory=bytearray)
    is_file: bool = False
    is_ignored: bool = False


class FormReader:
    """Read one form and write its file to `path`; fail as early as possible.

    Skip parts that are neither the file nor a field of the rules.
    """

    def __init__(self, content_type: str, path: Path, rules: FormRules) -> None:
        self._path, self._rules = path, rules
        self._part = _Part()
        self._file: BinaryIO | None = None
        self._filename: str | None = None
        self._hash = hashlib.sha256()
        self._size_bytes = 0
        self._text_bytes = 0
        self._fields: list[tuple[str, str]] = []
        self._ignored: dict[str, None] = {}
        self._parts = 0
        self._may_be_text = False
        self._has_ended = False
        self._parser = self._make_parser(content_type)

    def feed(self, data: bytes) -> None:
        """Read the next bytes of the body.

        Raises BadRequest, InvalidField, UploadTooLarge, and Unavailable when the file
        can't be written.
        """
        with _translated():
            self._parser.write(data)

    def finish(self) -> Form:
        """Return the form after its last byte.

        Raises BadRequest if it is incomplete, InvalidField without a file, and
        Unavailable when the file can't be written.
        """
        if not self._has_ended:
            raise _malformed()
        if self._filename is None:
            raise InvalidField(
                "The form has no file. Send the song in the field `file`: "
                "curl -F file=@song.mp3.",
                FILE_FIELD,
            )
        if self._may_be_text and self._size_bytes <= _LONGEST_PATH_BYTES:
            raise InvalidField(
                "The field `file` must be a file, got text. Send it with a file name: "
                "curl -F file=@song.mp3.",
                FILE_FIELD,
            )
        with _translated():
            self.close()
        return Form(
            self._filename,
            self._size_bytes,
            self._hash.hexdigest(),
            tuple(self._fields),
            tuple(self._ignored),
        )

    def close(self) -> None:
        """Close the file, and keep it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _make_parser(self, content_type: str) -> MultipartParser:
        kind, parameters = parse_options_header(content_type)
        if kind != b"multipart/form-data":
            raise BadRequest(
                "The body must be multipart/form-data or JSON. Send the song in the "
                "field `file`: curl -F file=@song.mp3. Or send its address as JSON: "
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
            return MultipartParser(
                parameters[b"boundary"], callbacks, max_header_size=MAX_FIELDS_BYTES
            )

    def _begin_part(self) -> None:
        self._part = _Part()
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise BadRequest(
                f"The multipart/form-data may have at most {_MOST_PARTS} fields, got "
                "more. Send fewer."
            )

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._part.header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._part.header += data[start:end]

    def _end_header(self) -> None:
        part, name = self._part, self._part.header_name.lower()
        if name == b"content-disposition":
            part.disposition = bytes(part.header)
            part.has_type_first = part.has_type
        part.has_type = part.has_type or name == b"content-type"
        part.header_name.clear()
        part.header.clear()

    def _open_part(self) -> None:
        part = self._part
        # aiohttp sends the type first, and percent-encodes the whole name.
        said = content_disposition.read(part.disposition, part.has_type_first)
        if said.field is None:
            raise _malformed()
        part.name = said.field
        part.is_file = said.filename is not None or part.name == FILE_FIELD
        if part.name != FILE_FIELD:
            self._check_field(part)
            return
        if self._filename is not None:
            raise InvalidField(
                "The form has more than one file. Send one song per request.",
                FILE_FIELD,
            )
        self._filename = titles.clean(said.filename or "")
        self._may_be_text = said.filename is None and not part.has_type
        self._file = self._path.open("xb")

    def _check_field(self, part: _Part) -> None:
        name = part.name[:_LONGEST_NAME_SHOWN]
        if part.name not in self._rules.fields:
            part.is_ignored = True
            if len(self._ignored) < _MOST_IGNORED_NAMES:
                self._ignored[name] = None
        elif part.is_file:
            raise InvalidField(f"The field {name!r} must be text, got a file.", name)
        else:
            self._count_text(len(name))

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.is_ignored:
            return
        if self._file is None or not self._part.is_file:
            self._count_text(end - start)
            self._part.text += data[start:end]
            return
        self._size_bytes += end - start
        if self._size_bytes > self._rules.max_file_bytes:
            raise too_large(self._rules)
        piece = memoryview(data)[start:end]
        self._hash.update(piece)
        self._file.write(piece)

    def _count_text(self, size_bytes: int) -> None:
        self._text_bytes += size_bytes
        if self._text_bytes > MAX_FIELDS_BYTES:
            name = self._part.name
            raise InvalidField(
                f"The text fields must be at most {MAX_FIELDS_BYTES} bytes together. "
                "Shorten them.",
                name,
            )

    def _end_part(self) -> None:
        if not (self._part.is_file or self._part.is_ignored):
            text = self._part.text.decode("utf-8", "replace")
            self._fields.append((self._part.name, text))

    def _end(self) -> None:
        self._has_ended = True


@contextmanager
def _translated() -> Iterator[None]:
    try:
        with disk_full_as_unavailable():
            yield
    except FormParserError as err:
        raise _malformed() from err
    except OSError as err:
        raise Unavailable(
            "The server could not write the upload to its disk. Try again later."
        ) from err


def too_large(rules: FormRules) -> UploadTooLarge:
    """Return the error for a file over the limit."""
    mebibytes = rules.max_file_bytes / 1024**2
    return UploadTooLarge(
        f"The file is larger than {mebibytes:.4g} MiB, the limit of this server. "
        "Send a shorter song or a compressed one: flac, mp3, m4a."
    )


def _malformed() -> BadRequest:
    return BadRequest(
        "The form is malformed or incomplete: it has no boundary, a part without a "
        "name, or no end. Send it again as multipart/form-data."
    )
