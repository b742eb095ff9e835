"""Decoding photographs, and the little around it."""

from har_core.images.decoding import decode_image, decode_square, read_image_file

__all__ = ["decode_image", "decode_square", "read_image_file"]
