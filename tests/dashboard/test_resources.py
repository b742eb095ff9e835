import gc
import types
import weakref

import har_core
from dashboard import resources
from har_core import InvalidImageError
from har_core.model.manifest import BundleManifest


class Looped:
    def __init__(self):
        self.itself = self


def test_what_modules_hold_is_looked_at_by_no_collection_once_a_page_has_run(monkeypatch):
    gc.unfreeze()
    monkeypatch.setitem(resources.sys.modules, "new_since", types.ModuleType("new_since"))
    resources.spare_the_collector()
    assert gc.get_freeze_count() > 50_000
    # Garbage of later runs, which import nothing, is collected as ever.
    looped = weakref.ref(Looped())
    resources.spare_the_collector()
    gc.collect()
    assert looped() is None


def test_a_model_is_told_from_others_by_what_was_written_once(tiny_models, monkeypatch):
    monkeypatch.setattr(resources, "classify_photo", lambda model, data: None)
    model, written = har_core.load_model(), []
    monkeypatch.setattr(BundleManifest, "to_json", lambda told: written.append(told) or told.name)
    for number in range(10):
        resources.classified(model, b"told %d" % number)
    assert written == [model.manifest]


def test_thousands_of_photographs_are_classified_once(tiny_models, monkeypatch):
    asked = []

    def classify(model, data):
        asked.append(data)
        return InvalidImageError("The file is empty.", "empty")

    monkeypatch.setattr(resources, "classify_photo", classify)
    model, photos = har_core.load_model(), [b"photo %d" % number for number in range(3000)]
    for data in photos * 2:
        resources.classified(model, data)
    assert asked == photos
