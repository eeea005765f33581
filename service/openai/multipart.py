"""Reading an upload as it arrives: the file's bytes go to disk, so that its size costs no memory."""

from collections.abc import AsyncIterator
from pathlib import Path

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.openai.errors import Refused

FIELD_BYTES_MAX = 4096
"""Of a form field that is no file; a purpose is a word."""
NAME_MAX = 255
"""Longest name of a file that is shown."""


class Upload:
    """The form of `POST /v1/files`: its fields, and its file at `path`."""

    def __init__(self, content_type: str, path: Path) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise Refused("send the file as multipart/form-data, with the fields 'file' and 'purpose'", param="file")
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        """None as long as no file came."""
        self._path = path
        self._name, self._value, self._disposition = b"", b"", b""
        self._field = ""
        self._is_file = self._ended = False
        self._held = bytearray()
        handlers = {name: getattr(self, f"_{name}") for name in EVENTS}
        self._parser = MultipartParser(boundary, {f"on_{name}": handler for name, handler in handlers.items()})  # pyright: ignore[reportArgumentType]

    async def read(self, chunks: AsyncIterator[bytes]) -> None:
        """Take in the whole body; Refused when it is no form, or not the form of a file."""
        with self._path.open("wb") as self._file:
            try:
                async for chunk in chunks:
                    self._parser.write(chunk)
            except FormParserError as error:
                raise Refused(f"the form cannot be read: {error}", param="file") from error
        if not self._ended:
            raise Refused("the form breaks off before its end", param="file")

    def _part_begin(self) -> None:
        self._disposition = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._field, self._is_file = _text(options.get(b"name", b"")), b"filename" in options
        if self._is_file and (self._field != "file" or self.filename is not None):
            raise Refused(f"one file is taken, in the field 'file'; found another in '{self._field}'", param="file")
        if self._is_file:
            self.filename = _text(options[b"filename"]).replace("\\", "/").rsplit("/", 1)[-1][:NAME_MAX] or "upload"

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._file.write(data[start:end])
            return
        self._held += data[start:end]
        if len(self._held) > FIELD_BYTES_MAX:
            raise Refused(f"the field is longer than {FIELD_BYTES_MAX} bytes", param=self._field)

    def _part_end(self) -> None:
        if not self._is_file:
            self.fields[self._field] = _text(bytes(self._held))
            self._held.clear()

    def _end(self) -> None:
        self._ended = True


EVENTS = (
    *("part_begin", "header_field", "header_value", "header_end", "headers_finished", "part_data", "part_end"),
    "end",
)
"""What the parser tells of, and the methods that hear it."""


def _text(data: bytes) -> str:
    """Return text that can be shown and stored, whatever a client put there."""
    return "".join(character for character in data.decode(errors="replace") if character.isprintable())
