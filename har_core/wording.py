"""Numbers in sentences."""


def counted(n: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, both as written in a sentence: ``1 row``, ``1,204 rows``.

    Parameters
    ----------
    n : int
    noun : str
        Of one, with what agrees with it: ``"row has"``.
    plural : str, optional
        Default: the noun with an s.
    """
    return f"{n:,} {noun if n == 1 else plural or f'{noun}s'}"


def are(n: int) -> str:
    """Return the verb of so many things: ``3 of 9 rows are``, ``1 of 9 rows is``."""
    return "is" if n == 1 else "are"
