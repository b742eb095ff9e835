"""What a row says of an answer, and why there is none."""

import numpy as np

from har_core.model.classifier import Answers
from har_core.model.manifest import BundleManifest
from har_core.model.novelty.detector import Novelty
from har_core.scale.results import results_schema
from har_core.scale.rows import Decoded, answered_rows
from har_core.scale.sources.items import Item

CLASSES = ("cycling", "running")


def test_answers_are_beside_their_photographs_and_say_whether_they_count() -> None:
    manifest = BundleManifest("m", "", 8, "none", CLASSES, answers={"abstain_below": 0.6})
    good = {"sure": 0.9, "unsure": 0.45, "foreign": 0.8, "nothing": np.nan}
    square = np.zeros((8, 8, 3), np.uint8)
    batch = [Decoded(Item("/broken"), 3, "b" * 64, None, "", "It is broken.", "damaged")]
    batch += [Decoded(Item(f"/{name}", 5, 7, "e"), 5, name, square) for name in good]
    batch.append(Decoded(Item("/away"), -1, None, None, "", "It is away.", "unreadable"))
    probabilities = np.array([[p, 1 - p] for p in good.values()])
    novelty = Novelty(np.array([0.1, 0.2, 1.0, 0.3]), np.array([True, True, False, True]))
    features = np.array([[1.0], [2.0], [1e9], [4.0]], np.float32)
    rows = answered_rows(
        results_schema(CLASSES, 1),
        manifest,
        batch,
        range(1, 5),
        Answers(probabilities, novelty, features),
    )
    found = rows.to_pydict()
    assert found["uri"] == ["/broken", "/sure", "/unsure", "/foreign", "/nothing", "/away"]
    assert found["sha256"] == ["b" * 64, *good, None]
    assert found["size"] == [3, 5, 5, 5, 5, None] and found["etag"] == [None, *["e"] * 4, None]
    assert found["action"] == [None, "cycling", "running", "cycling", None, None]
    assert found["verdict"] == [None, "answered", "unsure", "foreign", None, None]
    assert found["in_scope"] == [None, True, True, False, None, None]
    assert found["features"] == [None, [1], [2], [65504], None, None]  # what float16 holds
    assert found["reason"] == ["damaged", None, None, None, "no_answer", "unreadable"]
    np.testing.assert_allclose(found["confidence"][1:4], [0.9, 0.55, 0.8], rtol=1e-6)
    np.testing.assert_allclose(found["novelty"][1:4], [0.1, 0.2, 1.0], rtol=1e-6)
    np.testing.assert_allclose(found["running"][1:4], [0.1, 0.55, 0.2], rtol=1e-6)
    assert [text is None for text in found["error"]] == [False, True, True, True, False, False]
