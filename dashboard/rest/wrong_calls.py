"""What is wrong with a call that brings no photograph: the commonest mistakes by name."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Final, TypeGuard

from fastapi import HTTPException
from starlette.datastructures import URL, FormData, QueryParams, UploadFile

_MODEL_FIELD: Final = "model"
_ONLY_IN_ADDRESS: Final = ("min_confidence", "action", "overlay")
_SHOWN: Final = 60
_ADDRESS: Final = re.compile(r"\s*(https?|ftp|file|s3|gs)://", re.IGNORECASE)
# Possessive: else a long text that is nearly base64 is tried in the square of its length.
_BASE64: Final = re.compile(r"\s*(data:[^,]{0,100},|[A-Za-z0-9+/_-]{200,}+[A-Za-z0-9+/_=\s-]*+$)")
_NO_TEXT: Final = re.compile(r"[\x00-\x08\ufffd]")
_CONTENT_TYPES: Final = {
    "application/json": "This is JSON; neither base64 nor the address of a photograph is read. ",
    "application/x-www-form-urlencoded": "This form holds text only (curl -d sends such). ",
}


def is_file(part: UploadFile | str) -> TypeGuard[UploadFile]:
    """Tell whether a part of a form is a file that somebody chose.

    A browser's form without a chosen file sends a nameless, empty part.
    """
    return isinstance(part, UploadFile) and bool(part.filename or part.size)


def check_parameters(given: QueryParams, *known: str) -> None:
    """Refuse an address with a misspelt parameter, which would be passed over, or an empty one.

    What resembles no parameter is ignored, as the service that this one replaced did: clients add
    their own, against caches for one.

    Raises
    ------
    HTTPException
        400 if a parameter is nearly one of the known ones, or a known one has no value.
    """
    if misspelt := _misspelt(set(given), known):
        there = f"{', '.join(map(repr, known[:-1]))} and {known[-1]!r}"
        raise HTTPException(400, f"Unknown parameter {_listed(misspelt)}; there are {there}.")
    for name in known:
        if "" in given.getlist(name):
            says = f"The address names {name} without a value: give it one, or leave it out."
            raise HTTPException(400, says)


def _misspelt(names: Iterable[str], known: Sequence[str]) -> list[str]:
    """Return the names that are none of the known ones, but resemble one."""
    wrong = sorted(set(names) - set(known))
    return [name for name in wrong if difflib.get_close_matches(name.lower()[:_SHOWN], known)]


def explain_content_type(kind: str, field: str, url: URL) -> str:
    """Say how a photograph is sent, to somebody who sent something else.

    Parameters
    ----------
    kind : str
        The request's content type, in lower case, without parameters; ``""`` for none.
    field : str
        Name of the form field.
    url : URL
        Where it was sent.
    """
    reason = _CONTENT_TYPES.get(kind, "")
    if kind.startswith("image/") or kind == "application/octet-stream":
        reason = "The photograph is the body itself, not a part of a form. "
    return (
        f"{reason}Send the photograph as multipart/form-data in the field '{field}', for example: "
        f"curl -F {field}=@photo.jpg {url}"
    )


def explain_unreadable(reason: str) -> str:
    """Say why a form could not be parsed, by what its parser said."""
    if "missing boundary" in reason.lower():
        return (
            "The header Content-Type says multipart/form-data without a boundary: do not set it "
            "yourself, your HTTP library does with the form."
        )
    if "invalid multipart" in reason.lower():
        return (
            "The body is no form, or its boundary is another than the header Content-Type says: do "
            "not set it yourself, your HTTP library does with the form."
        )
    return f"The upload cannot be read: {reason.rstrip('.')}."


def explain_form(form: FormData, field: str, most: int) -> str:
    """Say what is wrong with a form, ``""`` if nothing is.

    Parameters
    ----------
    form : FormData
    field : str
        Which holds the photographs.
    most : int
        So many files are taken in one request.
    """
    wrong = _wrong_fields(form, field)
    files = [name for name, part in form.multi_items() if is_file(part)]
    if len(files) - files.count(_MODEL_FIELD) <= most:
        return wrong
    several = f"Send at most {most} files per request."
    if most == 1:
        several = "Send one 'file' per request, or several to /predict/batch."
    return f"{wrong} {several}".lstrip()


def _wrong_fields(form: FormData, field: str) -> str:
    unknown = sorted(set(form) - {field, _MODEL_FIELD})
    found = form.getlist(field)
    if any(map(is_file, found)):
        text = next((part for part in found if isinstance(part, str)), None)
        if text is not None:
            return _explain_text(text, field)
        if any(not isinstance(name, str) for name in form.getlist(_MODEL_FIELD)):
            return "The field 'model' holds a file; it takes the name of a model as text."
        if len(set(map(str, form.getlist(_MODEL_FIELD)))) > 1:
            return "The field 'model' comes with several names; send one."
        if form.get(_MODEL_FIELD) == "":
            return "The field 'model' is empty: it takes the name of a model, or is left out."
        if misplaced := [name for name in unknown if name in _ONLY_IN_ADDRESS]:
            return f"{_listed(misplaced)} belongs in the address: ?{misplaced[0]}=…"
        files = [name for name in unknown if any(map(is_file, form.getlist(name)))]
        if wrong := files or _misspelt(unknown, (field, _MODEL_FIELD)):
            return f"Unknown form field {_listed(wrong)}; there are '{field}' and 'model'."
        return ""
    text = next((part for part in found if isinstance(part, str) and part.strip()), None)
    if text is not None:
        return _explain_text(text, field)
    misnamed = [name for name in unknown if any(map(is_file, form.getlist(name)))]
    hint = f" Name the field of the photograph '{field}' instead of {_listed(misnamed)}."
    return (
        f"There is no file in the field '{field}'; fields received: "
        f"{_listed(list(form)) or 'none'}.{hint if misnamed else ''}"
    )


def _explain_text(text: str, field: str) -> str:
    if _ADDRESS.match(text):
        return (
            f"The field '{field}' holds an address, and addresses are never fetched: download the "
            f"photograph and send the file, as with curl -F {field}=@photo.jpg"
        )
    if _BASE64.match(text):
        return (
            f"The field '{field}' holds base64 text, which is not read: send the file's own bytes, "
            f"as with curl -F {field}=@photo.jpg"
        )
    if _NO_TEXT.search(text):
        return (
            f"The part '{field}' of the form has no filename, so that it is no file; give it one, "
            f"as with form.append('{field}', content, 'photo.jpg')."
        )
    shown = text[:_SHOWN] + "…" * (len(text) > _SHOWN)
    name = shown if re.fullmatch(r"[\w./ -]{1,60}", text) else "photo.jpg"
    return (
        f"The field '{field}' holds the text {shown!r}, not a file. With curl the file's name "
        f"needs an @ before it: curl -F {field}=@{name}"
    )


def _listed(names: list[str]) -> str:
    return ", ".join(repr(name[:_SHOWN]) for name in names[:8])
