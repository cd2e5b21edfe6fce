"""The automaton says of every text what `re` and the `regex` package say, and never hangs."""

from __future__ import annotations

import gc
import random
import re
import time

import pytest
import regex as regex_package

from apps.automaton import Automata, Automaton, GrammarError, State
from apps.expression import Run
from tools.grammar import ANY_TEXT, KEYS, copied

EXPRESSIONS = [
    "",
    "a",
    "ab|ac|",
    "(?:ab){2,3}c?",
    "a*b+",
    "(a|b)*c",
    "(?:a?){3}b",
    "(?:a*)*b",
    '[^"a]b',
    r"\d{1,2}a|\w\s",
    "é|ê|€c|a",
    "[à-ü]{1,2}b",
    "^ab$",
    "a.c",
    "(?s:a.)c?",
    "a{0}b",
    "(?:|a)b",
    "[^\\d]a",
    "^(?:a|b(?:c|é)?)?$",
    "a(?:b|(?:c|ab)?)b|c",
    "(?:a|b)??c(?:a|b){2}(?:)",
    "(?:^ab|c$)",
    r"(?:a\||[)|(]|\(|b)c",
]
ALPHABET = 'abc"1 éê€\n'


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_same_as_re_and_regex(expression: str) -> None:
    """Whole matches agree with `re`, and beginnings with `regex`'s partial matching, on 500 texts each."""
    automaton, partial = Automaton(expression), regex_package.compile(expression)
    chance = random.Random(expression)
    for _ in range(500):
        text = "".join(chance.choice(ALPHABET) for _ in range(chance.randrange(5)))
        place = automaton.advance(automaton.start, text.encode())
        assert bool(place and place.accepts) == bool(re.fullmatch(expression, text)), text
        assert bool(place) == bool(partial.fullmatch(text, partial=True)), text


def test_characters_arrive_byte_by_byte() -> None:
    """Inside a character only the bytes of one that can follow are viable."""
    automaton = Automaton("€|é")
    inside = automaton.advance(automaton.start, "€".encode()[:2])
    assert inside and not inside.accepts and inside.least == 1
    assert automaton.advance(inside, b"\xac") and not automaton.advance(inside, b"\xad")
    assert not automaton.advance(inside, b"a")
    assert not automaton.advance(automaton.start, b"\x80")
    assert automaton.start.least == 2


def test_following_many_words() -> None:
    """Of a sorted vocabulary exactly those words are found that can follow when each is tried by itself, with
    the fewest bytes after it; at the beginning, inside a text, and inside a character."""
    chance = random.Random(2)
    for expression in (*EXPRESSIONS, ANY_TEXT, copied(["Ada Lovelace, é€", "a b c"])):
        automaton = Automaton(expression)
        texts = {"".join(chance.choice(ALPHABET) for _ in range(chance.randrange(1, 5))) for _ in range(150)}
        words = {text.encode()[chance.randrange(2) :] for text in texts} - {b""}
        listed = sorted((word, number) for number, word in enumerate(words))
        place = automaton.start
        for _ in range(6):
            tried = ((number, automaton.advance(place, word)) for word, number in listed)
            expected = [(number, after.least) for number, after in tried if after]
            assert list(automaton.follow(place, listed)) == expected
            ways = [p for b in range(256) if (p := automaton.advance(place, bytes([b])))]
            if not ways:
                break
            place = chance.choice(ways)


def test_least_falls_to_nothing() -> None:
    """From every place some byte leads one nearer the end, so an answer can always be finished."""
    chance = random.Random(0)
    for expression in (ANY_TEXT, KEYS, r"-?\d{2,5}", "(?:€a|[à-ü]{3}|x{9}){2}", copied(["Ada Lovelace, é"])):
        automaton = Automaton(expression)
        place = automaton.start
        for turn in range(300):
            ways = [p for b in range(256) if (p := automaton.advance(place, bytes([b])))]
            if not ways:
                break
            if not place.accepts:
                assert min(w.least for w in ways) == place.least - 1
            place = chance.choice(ways) if turn < 20 else min(ways, key=lambda w: w.least)
        assert place.accepts


def test_forced_text() -> None:
    """What must come next is known up to the next choice."""
    automaton = Automaton('"Save" click\\((?:3|4)\\)|"Send" click\\(5\\)')
    place = automaton.advance(automaton.start, b'"Se')
    assert place and automaton.forced(place) == 'nd" click(5)'
    place = automaton.advance(automaton.start, b'"Sa')
    assert place and automaton.forced(place) == 've" click('


@pytest.mark.parametrize(
    "expression", ["(", "a(?=b)", r"(a)\1", "(?i)a", "[^\x00-\U0010ffff]", r"a\bb", "a++"]
)
def test_refused(expression: str) -> None:
    """What can't be held to is refused with a reason."""
    with pytest.raises(GrammarError):
        Automaton(expression)


def test_no_backtracking() -> None:
    """Expressions that hang a backtracking matcher are walked, or refused, in a moment."""
    began = time.perf_counter()
    automaton = Automaton("(a+)+b")
    assert automaton.advance(automaton.start, b"a" * 5000)
    with pytest.raises(GrammarError, match="ambiguous"):
        hard = Automaton("(?:(?:(?:a?){0,900}){0,900}){0,900}b")
        hard.advance(hard.start, b"aaaa")
    with pytest.raises(GrammarError, match="deep"):
        Automaton("(" * 5000 + ")" * 5000)
    assert time.perf_counter() - began < 60  # a second or two on an idle core


def test_kept() -> None:
    """The same expression is compiled once, and the cache is bounded."""
    automata = Automata(size=2)
    first = automata.get("a")
    assert automata.get("a") is first
    automata.get("b"), automata.get("c")
    assert automata.get("a") is not first


def test_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither long expressions, one after another, nor one that makes new states for each text, fill it."""
    monkeypatch.setattr("apps.automaton.KEPT", 200_000)
    r = random.Random(0)
    automata = Automata()
    for _ in range(10):
        automata.get("".join(r.choices("abc", k=50_000)))
    for _ in range(10):
        hard = automata.get("(?:[ab]*a[ab]{14})")
        assert hard.advance(hard.start, bytes(r.choices(b"ab", k=2000)))
    del hard
    gc.collect()
    there = gc.get_objects()
    assert sum(len(one.nodes) for one in there if isinstance(one, Run)) < 400_000
    assert sum(isinstance(one, State) for one in there) < 5000


def test_bytes_that_begin_no_character_are_refused() -> None:
    """Overlong forms, surrogates and what lies beyond Unicode: no byte can follow them."""
    automaton = Automaton("[^a]b")
    for bad in (b"\xe0\x9f", b"\xed\xa0", b"\xf0\x8f", b"\xf4\x90", b"\xc1", b"\x80"):
        assert automaton.advance(automaton.start, bad) is None, bad
    for good in (b"\xe0\xa0", b"\xed\x9f", b"\xf0\x90", b"\xf4\x8f", b"\xc2"):
        assert automaton.advance(automaton.start, good) is not None, good
