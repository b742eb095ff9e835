"""What is to be done is dealt to workers whole, each input once."""

from pathlib import Path

from har_core.progress import silent
from har_core.scale.answered import Answered
from har_core.scale.parts import PartsFolder
from har_core.scale.plan import Plan
from har_core.scale.sources.items import Item


def test_shards_hold_each_input_once_and_become_smaller(tmp_path: Path) -> None:
    names = [*range(1_030), 5, *range(1_030, 2_048)]  # 1,024 are written at a time, and then one
    items = (Item(f"/{name}.jpg") for name in names)
    with Plan(items, Answered(PartsFolder(str(tmp_path))), silent) as plan:
        shards = list(plan.shards(2))
    assert (plan.listed, plan.repeated, plan.pending) == (2_048, 1, 2_048)
    found = [item.uri for shard in shards for item in shard]
    assert found == [f"/{name}.jpg" for name in range(2_048)]
    sizes = [len(shard) for shard in shards]
    assert sizes[:2] == [2_048 // 4, (2_048 - 512) // 4]
    assert sizes == sorted(sizes, reverse=True) and sizes[-2] == 32


def test_last_shard_may_be_one_input(tmp_path: Path) -> None:
    items = (Item(f"/{name}.jpg") for name in range(33))
    with Plan(items, Answered(PartsFolder(str(tmp_path))), silent) as plan:
        assert [len(shard) for shard in plan.shards(1)] == [32, 1]
