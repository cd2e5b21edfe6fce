"""Oracles of the tasks among people: the mail box, and the posts of a social network.

Not covered: what they are made of (`oracle.py`), and the other applications (`apps.py`).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from tools.actions import Action
from trajectories.miniwob.oracle import Family, Scene


def click_in(scene: Scene, name: str, top: float, down: int, up: int, bottom: float | None = None) -> Action:
    """Click what is named so (or so and more) with its middle between two heights, or scroll towards it."""
    for e in scene.all("clickable"):
        if f"{e.name} ".startswith(f"{name} ") and top < e.box.centre[1] < (bottom or scene.look.viewport[1]):
            return scene.on("click", e)
    return Action("scroll", (0, down if top > scene.look.viewport[1] / 2 else -up))


# Of each mail in the list its sender and where it lies; of the open one the sender and the text; and what is
# asked for, as the page itself takes a goal that is in somebody's own words.
MAIL = """({
  list: $('#main .email-thread').toArray().map((mail) => {
    const { top, bottom } = mail.getBoundingClientRect();
    return { sender: $('.email-sender', mail).text(), top, bottom };
  }),
  sender: $('#email .email-sender').text(),
  body: $('#email .email-body').text(),
  asked: core.currentFields || null,
})"""
ICONS = {"delete": "trash", "star": "star"}
BUTTONS = {"reply": "Reply", "forward": "Forward"}
MAIL_SCROLL = 100  # CSS pixels: two mails of the three that are shown


def asked_mail(scene: Scene) -> tuple[str, str, str]:
    """What to do (reply, forward, delete, star) with whose mail, and the words or the receiver for it."""
    if asked := scene.facts["asked"]:
        return asked.get("task", "forward"), asked["by"], asked.get("message") or asked.get("to", "")
    sender, rest = scene.said(r"email by (.+?) and (.*)\.$")
    for task, before in (("reply", 'reply to them with the text "'), ("forward", "forward that email to ")):
        if rest.startswith(before):
            return task, sender, rest.removeprefix(before).removesuffix('"')
    return "delete" if "trash" in rest else "star", sender, ""


def mail(scene: Scene) -> Action:
    task, sender, text = asked_mail(scene)
    back = next((e for e in scene.all("clickable") if e.name.startswith("left arrow")), None)
    if back is None:
        found = next(m for m in scene.facts["list"] if m["sender"] == sender)
        name = ICONS.get(task, sender)
        return click_in(scene, name, found["top"], MAIL_SCROLL, MAIL_SCROLL, found["bottom"])
    if scene.facts["sender"] != sender:
        return scene.on("click", back)  # another mail, or a search
    if not scene.has("send"):
        if button := scene.has(ICONS.get(task) or BUTTONS[task], "clickable"):
            return scene.on("click", button)
        return Action("scroll", (0, MAIL_SCROLL if task in BUTTONS else -MAIL_SCROLL))
    receiver, message = scene.has("to", "textbox"), scene.all("textbox")[-1]
    if task in ICONS or (task == "forward") != (receiver is not None):
        return scene.on("click", back)  # the wrong form
    if receiver is None:
        filled = scene.fill(message, text)
    else:
        filled = scene.fill(receiver, text) or scene.fill(message, scene.facts["body"])
    return filled or scene.click("clickable", "send")


# Of each post its user, where it lies, whether its menu is open, and which of its buttons are on.
POSTS = """$('.media').toArray().map((post) => {
  const { top, bottom } = post.getBoundingClientRect();
  const on = $('.active', post).toArray().map((button) => button.classList[0]);
  return { user: $('.username', post).text(), top, bottom, open: $('ul:not(.hide)', post).length > 0, on };
})"""
DOWN, UP = 124, 62  # CSS pixels: two posts of the two and a bit that are shown, or one


def post_button(scene: Scene, post: dict[str, Any], name: str) -> Action:
    return click_in(scene, name, post["top"], DOWN, UP, post["bottom"])


def one_post(scene: Scene) -> Action:
    user, button = scene.said(r'user (@\S+), click on the "(.*)" button')
    opened = next((p for p in scene.facts if p["open"]), None)
    post = next(p for p in scene.facts if p["user"] == user)
    if opened and opened["user"] != user:
        return post_button(scene, opened, "more")  # its menu may cover what is looked for
    if button in ("Reply", "Retweet", "Like"):
        return post_button(scene, post, button.lower())
    if not opened:
        return post_button(scene, post, "more")
    entry = scene.has(button) or scene.has(f"{button} {user}")  # Mute and Block say whom
    return scene.on("click", entry) if entry else Action("scroll", (0, UP if opened["top"] > 0 else -UP))


def many_posts(last_scroll: int, scene: Scene) -> Action:
    """Switch on a button of all posts of a user, or of the first so many, and every other one off."""
    button, count, user = scene.said(r'the "(.*)" button on (all|\d+) posts? by (@\S+) and')
    left = len(scene.facts) if count == "all" else int(count)
    for post in scene.facts:
        asked = {button.lower()} if post["user"] == user and left > 0 else set()
        left -= len(asked)
        if wrong := asked ^ set(post["on"]):
            return post_button(scene, post, min(wrong))
    submit = scene.has("Submit", "button")
    return scene.on("click", submit) if submit else Action("scroll", (0, last_scroll))


MAIL_TASKS = (
    *("", "-delete", "-forward", "-forward-nl", "-forward-nl-turk", "-important", "-nl-turk"),
    *("-noscroll", "-reply", "-star-reply"),
)
FAMILIES: dict[str, Family] = {
    **{f"email-inbox{kind}": Family(mail, MAIL) for kind in MAIL_TASKS},
    "social-media": Family(one_post, POSTS),
    # Eleven posts are looked through, and eight of them may be the user's.
    "social-media-all": Family(partial(many_posts, DOWN), POSTS, steps=20),
    "social-media-some": Family(partial(many_posts, 1000), POSTS, steps=20),
}
