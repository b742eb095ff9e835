"""Pictures that are pasted, which Streamlit's file uploader does not take."""

from typing import Final

import streamlit as st

_JS: Final = """
export default function ({ data }) {
  const paste = event => {
    const input = document.querySelector(`.st-key-${data.uploader} input[type=file]`)
    const files = event.clipboardData?.files
    if (!input || !files?.length) return
    event.preventDefault()
    input.files = files
    input.dispatchEvent(new Event("change", { bubbles: true }))
  }
  document.addEventListener("paste", paste)
  return () => document.removeEventListener("paste", paste)
}
"""

_component = st.components.v2.component("har_paste", html="<span></span>", js=_JS)


def take_pasted(uploader: str) -> None:
    """Hand pictures that are pasted anywhere on the page to a file uploader; draws nothing itself.

    Parameters
    ----------
    uploader : str
        Its key.
    """
    _component(key="paste", data={"uploader": uploader}, width=1, height=1)
