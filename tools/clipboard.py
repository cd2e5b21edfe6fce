"""A clipboard of one's own: what an episode copies is pasted in that episode only.

Pages of one Chromium share its clipboard: of several episodes side by side one would paste what another has
copied. Copying is done by the page as ever, and what it put on the clipboard is noted; pasting is the page's
own `paste` event with that text, and then, unless the page prevents it, the text typed at the caret.

A desktop beside the page has another one; `both.py` keeps the two alike.

Not covered: anything but plain text, and copying by a page's own button (`navigator.clipboard`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.async_api import Page

SHIFT, CONTROL = (
    r"Shift(?:Left|Right)?\+",
    r"(?:Shift\+)?(?:(?:Control|Meta)(?:Left|Right|OrMeta)?\+)(?:Shift\+)?",
)
COPY = re.compile(rf"{CONTROL}(?:(?:Key)?[cCxX]|Insert)|{SHIFT}Delete")
PASTE = re.compile(rf"{CONTROL}(?:Key)?[vV]|{SHIFT}Insert")
WITHHELD = "a secret was copied, and is not pasted; fill it in by its name"

# Runs in every document before its own scripts; the page's own listeners come before this one, at the window.
INIT = r"""(() => {
  const note = Symbol.for('shopfloor.copied');
  const taken = (event) => {
    if (event.defaultPrevented) return event.clipboardData.getData('text/plain');
    const field = event.target;
    if (field && typeof field.selectionStart === 'number')
      return field.value.slice(field.selectionStart, field.selectionEnd);
    return String(getSelection());
  };
  for (const kind of ['copy', 'cut'])
    window.addEventListener(kind, (event) => { window[note] = taken(event); });
})()"""

TAKE = """() => {
  const note = Symbol.for('shopfloor.copied'), text = window[note];
  delete window[note];
  return text ?? null;
}"""
GIVE = """(text) => {
  if (!document.hasFocus()) return null;
  let at = document.activeElement || document.body;
  while (at.shadowRoot && at.shadowRoot.activeElement) at = at.shadowRoot.activeElement;
  if (at.tagName === 'IFRAME') return null;
  const data = new DataTransfer();
  data.setData('text/plain', text);
  const event = new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true });
  return at.dispatchEvent(event);
}"""


async def copied(page: Page) -> str | None:
    """What a page has copied since it was last asked, in whichever of its frames; None if nothing."""
    for frame in page.frames:
        text = await frame.evaluate(TAKE)
        if text is not None:
            return str(text)
    return None


async def paste(page: Page, text: str) -> None:
    """Paste a text where the focus is."""
    for frame in page.frames:
        wanted = await frame.evaluate(GIVE, text)
        if wanted is not None:
            if wanted:
                await page.keyboard.insert_text(text)
            return
