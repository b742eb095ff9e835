"""The name that version 1.0 had for `har_core.dataset.zipped`; callers of it keep working."""

from har_core.dataset.zipped import unpack_dataset

__all__ = ["unpack_dataset"]
