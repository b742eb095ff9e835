"""A grid of thumbnails, a page at a time: a click opens one, boxes select several."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import streamlit as st

from har_core.images.thumbnails import data_uri

_HTML: Final = """
<div class="gallery" role="list"></div>
"""

_CSS: Final = """
.gallery {
  display: grid;
  grid-template-columns: repeat(auto-fill, minmax(var(--tile-width), 1fr));
  gap: 12px;
  font-family: var(--st-font);
  color: var(--st-text-color);
}
.tile { position: relative; min-width: 0; }
.open {
  display: flex;
  flex-direction: column;
  width: 100%;
  height: 100%;
  padding: 0;
  border: 1px solid var(--st-border-color);
  border-radius: var(--st-base-radius);
  background: var(--st-secondary-background-color);
  overflow: hidden;
  cursor: pointer;
  text-align: left;
  color: inherit;
  font: inherit;
}
.open:hover, .open:focus-visible { border-color: var(--st-primary-color); outline: none;
  box-shadow: 0 0 0 1px var(--st-primary-color); }
.picture { display: flex; align-items: center; justify-content: center; height: 122px;
  width: 100%; flex: none; }
.picture img { width: 100%; height: 100%; object-fit: contain; display: block; }
.picture span { font-size: 12px; opacity: 0.7; padding: 0 10px; text-align: center; }
.text { padding: 7px 9px 8px; background: var(--st-background-color); flex: 1; width: 100%;
  box-sizing: border-box; }
.title, .note { overflow: hidden; overflow-wrap: anywhere; display: -webkit-box;
  -webkit-box-orient: vertical; -webkit-line-clamp: 2; }
.title { font-size: 13px; font-weight: 600; }
.note { font-size: 12px; opacity: 0.75; min-height: 16px; }
.mark { position: absolute; left: 7px; top: 7px; padding: 1px 7px; border-radius: 9px;
  font-size: 11px; font-weight: 600; color: #fff; background: #a33b2b; }
.mark.relabelled { background: #0c6464; }
.spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; }
.faded .picture { opacity: 0.35; }
.select { position: absolute; right: 0; top: 0; padding: 8px; cursor: pointer; }
.select input { width: 17px; height: 17px; margin: 0; display: block; cursor: pointer;
  accent-color: var(--st-primary-color); opacity: 0.75; }
.tile:hover input, .select input:checked, .select input:focus-visible { opacity: 1; }
"""

_JS: Final = """
// Browsers forget which element had the focus inside a component, so a closing dialog cannot
// give it back. Stepping on closes one dialog and opens the next, on a busy machine seconds later:
// the photograph is watched for until the focus is found elsewhere.
const focusWhenDialogsClose = (root, id) => {
  root.watching?.disconnect()
  let seen = false
  let quiet
  const observer = root.watching = new MutationObserver(() => {
    clearTimeout(quiet)
    if (document.querySelector("[role=dialog]")) seen = true
    else if (seen) quiet = setTimeout(() => {
      seen = false
      if (document.activeElement !== document.body || !root.isConnected) observer.disconnect()
      else root.querySelector(`.open[data-id="${CSS.escape(id)}"]`)?.focus()
    }, 400)
  })
  observer.observe(document.body, { childList: true, subtree: true })
}

export default function (component) {
  const { data, parentElement, setStateValue, setTriggerValue } = component
  const root = parentElement.querySelector(".gallery")
  root.style.setProperty("--tile-width", `${data.tileWidth}px`)
  // Tiles that are still the same stay, and with them the keyboard's place.
  const drawn = JSON.stringify([data.tiles, data.selectable])
  if (root.drawn === drawn) {
    const chosen = new Set(data.selected)
    const boxes = root.querySelectorAll("input")
    boxes.forEach((box, i) => { box.checked = chosen.has(data.tiles[i].id) })
    return
  }
  root.drawn = drawn
  const selected = new Set(data.selected)
  const element = (kind, name, text) => {
    const made = document.createElement(kind)
    made.className = name
    if (text !== undefined) made.textContent = text
    return made
  }
  const tiles = data.tiles.map(tile => {
    const item = element("div", "tile")
    item.setAttribute("role", "listitem")
    const open = element("button", "open")
    open.type = "button"
    // The button's name is its content: what is seen is part of it, for those who control by voice.
    open.append(element("span", "spoken", `Open ${tile.id}: `))
    open.onclick = () => {
      setTriggerValue("opened", tile.id)
      focusWhenDialogsClose(root, tile.id)
    }
    open.dataset.id = tile.id
    const picture = element("div", "picture")
    if (tile.source) {
      const image = element("img", "")
      image.src = tile.source
      image.alt = ""
      picture.append(image)
    } else {
      picture.append(element("span", "", tile.placeholder))
    }
    const text = element("div", "text")
    text.append(element("div", "title", tile.title), element("div", "note", tile.note))
    open.title = `${tile.id}\\n${tile.title}\\n${tile.note}`
    open.append(picture, text)
    item.append(open)
    if (tile.mark) {
      item.append(element("span", `mark ${tile.faded ? "" : "relabelled"}`, tile.mark))
    }
    if (tile.faded) item.classList.add("faded")
    if (data.selectable) {
      const label = element("label", "select")
      const box = element("input", "")
      box.type = "checkbox"
      box.checked = selected.has(tile.id)
      box.setAttribute("aria-label", `Select ${tile.id}`)
      box.onclick = event => {
        const boxes = [...root.querySelectorAll("input")]
        const here = boxes.indexOf(box)
        // With the shift key, all from the last one that was ticked get the same state.
        const from = event.shiftKey && root.last !== undefined ? root.last : here
        for (let i = Math.min(from, here); i <= Math.max(from, here); i++) {
          boxes[i].checked = box.checked
        }
        root.last = here
        setStateValue("selected", data.tiles.filter((_, i) => boxes[i].checked).map(t => t.id))
      }
      label.append(box)
      item.append(label)
    }
    return item
  })
  root.replaceChildren(...tiles)
}
"""

_gallery = st.components.v2.component("har_gallery", html=_HTML, css=_CSS, js=_JS)


@dataclass(frozen=True)
class Tile:
    """One photograph of a gallery.

    Parameters
    ----------
    id : str
        Filename.
    title, note : str
        First and second line below the picture.
    picture : bytes or None
        JPEG; None shows the placeholder.
    mark : str
        Badge over the picture, e.g. ``"excluded"``; none if empty.
    faded : bool
        Draw the picture pale, as for an excluded photograph.
    placeholder : str
        Text in place of a picture that there is none of.
    """

    id: str
    title: str
    note: str = ""
    picture: bytes | None = None
    mark: str = ""
    faded: bool = False
    placeholder: str = "no picture"


def gallery(
    tiles: Sequence[Tile],
    *,
    key: str,
    selectable: bool = False,
    tile_width: int = 150,
    on_opened: Callable[[str], None] = lambda name: None,
) -> tuple[str | None, list[str]]:
    """Draw a gallery.

    Parameters
    ----------
    tiles : sequence of Tile
        In reading order; a page of them, since all pictures are sent.
    key : str
        Names the gallery; the selection lives under it.
    selectable : bool
        Whether tiles have boxes.
    tile_width : int, default 150
        Least width of a tile in pixels; as many as fit stand in a row.
    on_opened : callable, optional
        Called with the filename that was clicked, before the page runs again.

    Returns
    -------
    opened : str or None
        The filename that was clicked just now.
    selected : list of str
        Filenames whose box is ticked, only those shown.
    """
    shown = {tile.id for tile in tiles}

    def tell() -> None:
        opened = (st.session_state.get(key) or {}).get("opened")
        if opened in shown:  # a browser says so, perhaps of a gallery that is gone by now
            on_opened(opened)

    state = st.session_state.get(key) or {}
    selected = [name for name in state.get("selected") or [] if name in shown]
    result = _gallery(
        key=key,
        data={
            "tiles": [_as_data(tile) for tile in tiles],
            "selected": selected,
            "selectable": selectable,
            "tileWidth": tile_width,
        },
        on_opened_change=tell,
        on_selected_change=lambda: None,
    )
    chosen = [name for name in result.selected or [] if name in shown]
    return result.opened if result.opened in shown else None, chosen


def _as_data(tile: Tile) -> dict[str, object]:
    data = asdict(tile)
    picture = data.pop("picture")
    return {**data, "source": data_uri(picture) if picture else ""}


def choose_page(n: int, size: int, key: str) -> slice:
    """Draw a choice among pages, unless there is only one; return which of `n` things it shows."""
    pages = -(-n // size)
    page = st.pagination(pages, key=key) if pages > 1 else 1
    return slice((page - 1) * size, page * size)
