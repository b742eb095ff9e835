"""What somebody saw in photographs, without their label: kept by content, for all models."""

import json
import threading
from pathlib import Path
from typing import Final

from har_core.errors import DatasetError
from har_core.storage.data import data_dir
from har_core.storage.files import write_atomically
from har_core.storage.locks import folder_to_oneself

_FORMAT: Final = 1
_lock = threading.Lock()


def answers_path() -> Path:
    """Return the file that answers are kept in, which may not exist yet."""
    return data_dir() / "audit.json"


def read_answers() -> dict[str, str]:
    """Return all answers, sha256 to class (``""``: cannot be told), the latest last.

    Raises
    ------
    DatasetError
        If the file cannot be read; it is left as it is.
    """
    path = answers_path()
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        if body["format"] != _FORMAT:
            raise ValueError(f"it is not of format {_FORMAT}")
        return {str(sha256): str(label) for sha256, label in body["answers"]}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DatasetError(
            f"Cannot read the audit in {path}: {error}. Repair the file or move it away."
        ) from error


def answer(sha256: str, label: str | None) -> None:
    """Keep what somebody saw in a photograph; None takes the answer back.

    Raises
    ------
    DatasetError
        If the file cannot be read or written.
    """
    path = answers_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _lock, folder_to_oneself(path.parent):
            answers = read_answers()
            answers.pop(sha256, None)
            if label is not None:
                answers[sha256] = label
            body = {"format": _FORMAT, "answers": list(answers.items())}
            write_atomically(path, json.dumps(body, ensure_ascii=False, indent=0).encode())
    except OSError as error:
        raise DatasetError(f"Cannot write {path}: {error.strerror or error}.") from error
