import gc
import types
import weakref

from dashboard import resources


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
