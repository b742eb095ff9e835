"""Reading multipart uploads into memory, with every limit enforced while the bytes arrive."""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from fastapi import HTTPException, Request
from starlette.datastructures import FormData, Headers
from starlette.formparsers import MultiPartException, MultiPartParser

from dashboard.rest.wrong_calls import (
    explain_content_type,
    explain_form,
    explain_unreadable,
    is_file,
)
from har_core.images.decoding import MAX_BYTES

MAX_BATCH_FILES: Final = 100
MAX_BATCH_BYTES: Final = 100 * 2**20
# Boundaries, part headers and small text fields around the files.
_FRAMING_BYTES: Final = 64 * 2**10
_MAX_TEXT_FIELDS: Final = 16
# How long a sender may pause, and take altogether. 20 MB in that time are half a megabit a second.
_MAX_PAUSE_S: Final = 15.0
_MAX_UPLOAD_S: Final = 300.0

# Its warnings quote the bytes of malformed uploads.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Upload:
    """One uploaded file: the name its sender gave it, and its content."""

    filename: str
    data: bytes


# Uploads never touch the disk, neither here nor in Streamlit's own route, which uses the same
# parser; both count the bytes while they arrive.
MultiPartParser.spool_max_size = 2**30


# What old clients (urllib3 before 1.25, Spring before 5.3) send alone for a name beyond ASCII
# (RFC 5987).
_EXTENDED_NAME: Final = re.compile(
    rb";\s*filename\*\s*=\s*\"?(utf-8|iso-8859-1)'[^']*'([^;\"]*)", re.I
)
_PLAIN_NAME: Final = re.compile(rb";\s*filename\s*=", re.I)


class _FormParser(MultiPartParser):
    """Takes a part for a file also where its name comes in the extended form alone."""

    def on_headers_finished(self) -> None:
        part = self._current_part
        disposition = part.content_disposition or b""
        extended = _EXTENDED_NAME.search(disposition)
        if extended is None or _PLAIN_NAME.search(disposition):
            super().on_headers_finished()
            return
        part.content_disposition = disposition + b'; filename=""'
        super().on_headers_finished()
        if part.file is not None:
            charset, name = extended[1].decode(), unquote_to_bytes(extended[2])
            part.file.filename = name.decode(charset, "replace")


def announced_size(request: Request, max_bytes: int) -> int:
    """Return the size that an upload says it has, at most the largest that is read."""
    declared = request.headers.get("content-length", "")
    limit = max_bytes + _FRAMING_BYTES
    return min(int(declared), limit) if declared.isdecimal() else limit


async def read_single_upload(request: Request) -> tuple[Upload, str | None]:
    """Read a form with exactly one file in the field ``file``, and the model that it names.

    Raises
    ------
    HTTPException
        400 if the body is no such form, 413 if the file is larger than
        `har_core.images.decoding.MAX_BYTES`.
    """
    uploads, model = await _read_form(request, "file", max_files=1, max_bytes=MAX_BYTES)
    if len(uploads[0].data) > MAX_BYTES:
        raise _too_large(MAX_BYTES)
    return uploads[0], model


async def read_batch_upload(request: Request) -> tuple[list[Upload], str | None]:
    """Read a form with files in the field ``files``, in their order, and the model that it names.

    Raises
    ------
    HTTPException
        400 if the body is no such form or holds more than `MAX_BATCH_FILES`, 413 if it is larger
        than `MAX_BATCH_BYTES`.
    """
    return await _read_form(request, "files", max_files=MAX_BATCH_FILES, max_bytes=MAX_BATCH_BYTES)


async def _read_form(
    request: Request, field: str, *, max_files: int, max_bytes: int
) -> tuple[list[Upload], str | None]:
    content_type = request.headers.get("content-type", "")
    if (kind := content_type.partition(";")[0].strip().lower()) != "multipart/form-data":
        raise HTTPException(400, explain_content_type(kind, field, request.url.replace(query="")))
    if (encoding := request.headers.get("content-encoding") or "identity").lower() != "identity":
        raise HTTPException(
            415,
            f"The body is packed ({encoding[:40]!r}), which is not read: send it without "
            "Content-Encoding. Photographs are compressed already.",
            headers={"Accept-Encoding": "identity"},
        )
    parser = _FormParser(
        Headers(raw=request.headers.raw),
        _limited_stream(request, max_bytes),
        max_files=max_files + 1,  # of one too many the field's name is told
        max_fields=_MAX_TEXT_FIELDS,
        max_part_size=_FRAMING_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        reason = explain_unreadable(error.message)
        if error.message.startswith("Too many files"):  # and what came before says in which field
            reason = explain_form(FormData(parser.items), field, max_files)
        raise HTTPException(400, reason) from error
    except ValueError as error:  # a charset parameter may name any of Python's codecs
        raise HTTPException(400, f"The upload cannot be read: {error}.") from error
    try:
        if reason := explain_form(form, field, max_files):
            raise HTTPException(400, reason)
        sent = [part for part in form.getlist(field) if is_file(part)]
        uploads = [Upload(_encodable(part.filename or ""), await part.read()) for part in sent]
        return uploads, next((str(name) for name in form.getlist("model")), None)
    finally:
        await form.close()


async def _limited_stream(request: Request, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """Yield the body; end with 413 if it is, or says it is, too large."""
    limit = max_bytes + _FRAMING_BYTES
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(max_bytes)
    received = 0
    async for chunk in _patient_stream(request):
        received += len(chunk)
        if received > limit:
            raise _too_large(max_bytes)
        yield chunk


async def _patient_stream(request: Request) -> AsyncGenerator[bytes, None]:
    """Yield the body; end with 408 if its sender stops sending, which would hold a place."""
    chunks = request.stream()
    clock = asyncio.get_running_loop().time
    deadline = clock() + _MAX_UPLOAD_S
    try:
        while True:
            async with asyncio.timeout_at(min(clock() + _MAX_PAUSE_S, deadline)):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            yield chunk
    except TimeoutError as error:
        raise HTTPException(
            408, "The upload stopped coming; send it again.", headers={"Connection": "close"}
        ) from error


def _too_large(max_bytes: int) -> HTTPException:
    # Of a much larger body a part stays unread, so the connection cannot serve another request.
    return HTTPException(
        413,
        f"The upload is larger than {max_bytes // 2**20} MB; send smaller or fewer files.",
        headers={"Connection": "close"},
    )


def _encodable(name: str) -> str:
    """Replace lone surrogates, which some charsets decode to and no answer can hold."""
    return name.encode("utf-8", "replace").decode("utf-8")
