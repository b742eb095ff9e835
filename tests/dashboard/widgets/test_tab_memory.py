from dashboard.widgets import tab_memory
from dashboard.widgets.tab_memory import TabMemory
from tests.patience import PATIENCE_S


def test_tabs_do_not_see_each_other_and_nothing_is_kept_of_none():
    memory = TabMemory()
    memory.keep("a", "photo", 1)
    memory.keep("b", "photo", 2)
    assert memory.values("a") == {"photo": 1} and memory.values("c") == {}
    memory.keep("a", "photo", None)
    assert memory.values("a") == {}
    memory.forget("b")
    assert memory.values("b") == {}


def test_what_is_too_much_drives_out_what_was_used_longest_ago(monkeypatch):
    monkeypatch.setattr(tab_memory, "_MOST_BYTES", 100)
    memory = TabMemory()
    memory.keep("a", "photo", 1, 60)
    memory.keep("b", "photo", 2, 30)
    memory.keep("a", "photo", 3, 60)  # in the place of the first
    assert memory.values("b") == {"photo": 2}
    memory.keep("c", "photo", 4, 40)
    assert (memory.values("a"), memory.values("b")) == ({"photo": 3}, {})
    memory.keep("d", "folder", "photos")
    memory.keep("d", "photo", 5, 101)  # more than all may be
    assert memory.values("d") == {"folder": "photos"}
    assert memory.values("a") == {"photo": 3}  # which costs nobody else anything


def test_what_is_not_used_is_forgotten_though_nobody_comes(monkeypatch):
    monkeypatch.setattr(tab_memory, "_KEPT_SECONDS", -1)  # the timer adds one second
    memory = TabMemory()
    memory.keep("a", "photo", 1)
    memory._timer.join(PATIENCE_S)
    assert memory.values("a") == {} and memory._timer is None
