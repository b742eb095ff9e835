"""Reading and writing class index files (``class_indices.json``)."""

import json
from collections.abc import Sequence
from pathlib import Path

from har_core.errors import ModelBundleError


def read_class_indices(path: str | Path) -> tuple[str, ...]:
    """Read the class names, in the order of the network's outputs.

    Parameters
    ----------
    path : str or Path
        A JSON object in either common order: ``{"0": "calling", …}`` (index to name) or
        ``{"calling": 0, …}`` (name to index, as Keras' ``class_indices`` writes it), or one that
        holds the former as ``id2label`` (Hugging Face's ``config.json``); a JSON list of names; or
        a ``.txt`` file with one name per line, each behind its index or not.

    Returns
    -------
    tuple of str
        Class names; position *i* belongs to output *i*.

    Raises
    ------
    ModelBundleError
        If the file cannot be read, has a key twice, or its indices are not exactly 0 … n-1.
    """
    path = Path(path)
    try:
        # "-sig": Windows tools put a byte order mark in front.
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".txt":
            mapping: object = _without_numbers(text.strip().splitlines())
        else:
            mapping = json.loads(text, object_pairs_hook=_dict_of_distinct_keys)
    except UnicodeDecodeError as error:
        raise ModelBundleError(
            f"The class index file {path} is no text in UTF-8; save it as such."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or error
        raise ModelBundleError(f"Cannot read the class index file {path}: {why}.") from error
    return parse_class_indices(mapping, source=str(path))


def parse_class_indices(mapping: object, source: str = "class indices") -> tuple[str, ...]:
    """Turn a parsed class index mapping, in either order, into ordered class names.

    Parameters
    ----------
    mapping : dict or list
        ``{"0": "calling"}``, ``{"calling": 0}``, ``{"id2label": {"0": "calling"}}`` or
        ``["calling"]``.
    source : str
        What to call the mapping in error messages.

    Returns
    -------
    tuple of str
        Class names in output order.

    Raises
    ------
    ModelBundleError
        If the mapping is empty, has repeated names, or its indices are not 0 … n-1.
    """
    if isinstance(mapping, dict) and isinstance(mapping.get("id2label"), dict):
        mapping = mapping["id2label"]
    if isinstance(mapping, list) and all(isinstance(name, str) for name in mapping):
        mapping = {str(index): name.strip() for index, name in enumerate(mapping)}
    if not isinstance(mapping, dict) or not mapping:
        raise ModelBundleError(f'{source} must be a JSON object such as {{"0": "calling"}}.')
    if all(isinstance(v, int) and not isinstance(v, bool) for v in mapping.values()):
        by_index = {index: str(name) for name, index in mapping.items()}
    elif all(str(k).strip().isdecimal() and isinstance(v, str) for k, v in mapping.items()):
        by_index = {int(k): v for k, v in mapping.items()}
    else:
        raise ModelBundleError(
            f'{source} must map indices to names ({{"0": "calling"}}) '
            f'or names to indices ({{"calling": 0}}).'
        )
    if len(by_index) != len(mapping) or sorted(by_index) != list(range(len(mapping))):
        raise ModelBundleError(
            f"{source} must use each index from 0 to {len(mapping) - 1} once; "
            f"it has {sorted(by_index)}."
        )
    names = tuple(by_index[i] for i in range(len(by_index)))
    if len(set(names)) != len(names) or not all(name.strip() for name in names):
        raise ModelBundleError(f"{source} has empty or repeated class names: {list(names)}.")
    return names


def _without_numbers(lines: list[str]) -> list[str]:
    """Return names without the indices in front that Teachable Machine writes: ``0 calling``."""
    parts = [line.split(maxsplit=1) for line in lines]
    are_numbered = all(len(p) == 2 and p[0] == str(index) for index, p in enumerate(parts))
    names = [name for _, name in parts] if are_numbered else lines
    # What is then the same was a count: 0 people, 1 person, 2 people.
    return names if len(set(names)) == len(names) else lines


def _dict_of_distinct_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Build a JSON object; of a repeated key `json` would silently keep the last."""
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("it has a key twice")
    return mapping


def format_class_indices(class_names: Sequence[str]) -> str:
    """Return the text of a ``class_indices.json`` (index to name)."""
    return json.dumps({str(i): name for i, name in enumerate(class_names)}, indent=2) + "\n"
