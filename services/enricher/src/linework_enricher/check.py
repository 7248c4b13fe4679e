"""Whether a model's answer can be kept. Pure and total: any bytes may come in, nothing is ever raised.

Texts are cleaned, those that break a rule are dropped, and a set is accepted when enough are left. What rules can tell
is told here; what they cannot (a false statement, a person's name without a title or a verb of making) passes.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from py3langid.langid import MODEL_FILE, LanguageIdentifier
from rapidfuzz import fuzz, utils

from linework_enricher.facts import Facts
from linework_enricher.naming import naming, singular
from linework_enricher.texts import Text

SHORTEST, LONGEST = 10, 400  # characters of a text
NEAR = 95  # rapidfuzz's token_sort_ratio, 0 to 100, from which two texts say the same
NAMED = 0.5  # share of the English texts that must name the object
_SURE = 0.99  # how certain the language must be before a text is refused for it
_LONG_ENOUGH = 80  # characters from which the language of a single text can be judged at all
_MOST_READ = 2_000_000  # characters of an answer; a longer one is no answer

_FENCE = re.compile(r"^\s*```(?:json)?\s*|\s*```\s*$")
_RULES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("markup", re.compile(r"<[a-zA-Z/!?][^>]*>|&(?:[a-z]{2,8}|#\d+);|\*\*|```|^#{1,6} |\]\(|^\s*[-*] ")),
    ("address", re.compile(r"https?://|www\.|\S+@\S+\.\w", re.IGNORECASE)),
    (
        "patent-number",
        re.compile(
            r"\bD\s?\d{3}[,.]?\d{3}\b|\b\d{1,2}[,.]\d{3}[,.]\d{3}\b|\b\d{2}/\d{3}[,.]?\d{3}\b|\d{7,}"
            r"|\b(?:US|EP|WO|JP|CN|KR|DE|FR|GB|DM)\s?(?:D|RE|PP)?[/-]?\s?\d{4,}"
            r"|\bpat(?:ent|\.)?\s+(?:application\s+)?(?:no|number|nr)\b",
            re.IGNORECASE,
        ),
    ),
    (
        "person",
        re.compile(
            r"\b(?:[Ii]nvented|[Dd]esigned|[Cc]reated|[Ff]iled|[Dd]rawn) by (?:(?:Mr|Ms|Mrs|Dr|Prof)\.? )?[A-Z]\w+"
            r"|\b(?:[Ii]nventors?|[Aa]pplicants?|[Aa]ssignees?|[Aa]ssigned to)\b[ :]+(?:is |are |named )?[A-Z]\w+"
            r"|\b(?:Mr|Ms|Mrs|Dr|Prof)\.? [A-Z]\w+|\b[A-Z][a-z]+ [A-Z]\. [A-Z][a-z]+"
        ),
    ),
    (
        "instruction",
        re.compile(
            r"\b(?:ignore|disregard|forget)\b.{0,30}\b(?:above|previous|prior|instructions?|rules)\b|system prompt",
            re.IGNORECASE,
        ),
    ),
    (
        "refusal",
        re.compile(
            r"\bas an AI\b|\bI(?:'|’)?m sorry\b|\bI (?:cannot|can(?:'|’)t|am unable)\b|language model", re.IGNORECASE
        ),
    ),
)
_SAID = {
    "markup": "has markup in it",
    "address": "has an address in it",
    "patent-number": "has what looks like a number of a patent in it",
    "person": "has what looks like the name of a person or a firm in it",
    "instruction": "repeats an instruction",
    "refusal": "is a refusal or a remark, not a description",
    "not-text": "is no object with the strings 'text' and 'language'",
    "too-short": f"is shorter than {SHORTEST} characters",
    "too-long": f"is longer than {LONGEST} characters",
    "language": "is in a language that was not asked for, or not in the one that it says",
    "duplicate": "says what another text says in nearly the same words",
}


@dataclass(frozen=True, slots=True)
class Checked:
    """`faults` is empty when the set is complete; each reads 'kind: sentence', to be shown to the model.

    `dropped` counts texts that were left out, by kind, in a good set as well as in a bad one.
    """

    texts: list[Text]
    faults: list[str]
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def reason(self) -> str | None:
        """The kind of the first fault, a stable kebab-case word."""
        return self.faults[0].split(":", 1)[0] if self.faults else None


def texts(raw: str | bytes | list[Any], facts: Facts, count: int, languages: Sequence[str]) -> Checked:
    """The texts of an answer that can be kept, at most `count`, and why it is not a complete set if it is none."""
    items = _items(raw)
    if isinstance(items, str):
        return Checked([], [items])
    kept: list[Text] = []
    dropped: Counter[str] = Counter()
    for item in items[: 10 * count + 100]:
        text = _text(item)
        fault = text if isinstance(text, str) else _fault(text, languages) or _repeats(text, kept)
        if isinstance(text, Text) and fault is None:
            kept.append(text)
        elif fault is not None:
            dropped[fault] += 1
    faults = list(_set_faults(kept, facts, count, languages))
    if faults:
        faults += [f"{kind}: {number} texts: each {_SAID[kind]}" for kind, number in dropped.most_common()]
    return Checked(kept[:count], faults, dict(dropped))


def clean(text: str) -> str:
    """Without control, invisible and unpaired characters, white space made single; NFC."""
    if text.isascii() and text.isprintable():  # nearly every text, at a hundredth of the time
        return " ".join(text.split())
    spaced = "".join(" " if unicodedata.category(one) in ("Cc", "Zl", "Zp") else one for one in text)
    shown = "".join(one for one in spaced if unicodedata.category(one)[0] != "C")
    return unicodedata.normalize("NFC", " ".join(shown.split()))


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that a text breaks: its stable kebab-case name, and what is said of the text."""

    kind: str
    said: str


def broken_rule(text: str) -> Broken | None:
    """The first rule about what may stand in a text that this one breaks."""
    kind = _broken(text)
    return Broken(kind, _SAID[kind]) if kind else None


def parsed(raw: str) -> Any:
    """The JSON of an answer, with or without a fence around it; a string is the fault that it is none."""
    if len(raw) > _MOST_READ:
        return "too-large: the answer is far too long"
    try:
        answer = json.loads(_FENCE.sub("", raw))
    except (ValueError, RecursionError):
        return _not_json(raw)
    return "wrong-schema: the answer must be a JSON object" if isinstance(answer, str) else answer


def near(one: str, other: str) -> bool:
    """Whether two texts say the same in nearly the same words, in whatever order."""
    return fuzz.token_sort_ratio(one, other, processor=utils.default_process, score_cutoff=NEAR) > 0


def names_object(text: str, facts: Facts) -> bool:
    """Whether a text has one of the object's names that rules know, in the singular or the plural."""
    told = " ".join(singular(word) for word in re.findall(r"[\w'’-]+", text))
    names = (" ".join(singular(word) for word in name.split()) for name in naming(facts.name).known)
    return any(re.search(rf"\b{re.escape(name)}\b", told) for name in names)


def _items(raw: str | bytes | list[Any]) -> list[Any] | str:
    """The list of texts, or the fault that kept it from being read."""
    if isinstance(raw, list):
        return raw or "empty: the answer holds no texts"
    if isinstance(raw, bytes):
        raw = raw.decode("utf-8", errors="replace")
    answer = parsed(raw)
    if isinstance(answer, str):
        return answer
    items = answer.get("texts") if isinstance(answer, dict) else answer
    if not isinstance(items, list):
        return 'wrong-schema: the answer must be {"texts": [{"text", "language"}, …]}'
    return items or "empty: the answer holds no texts"


def _not_json(raw: str) -> str:
    refused = any(kind == "refusal" and rule.search(raw[:2000]) for kind, rule in _RULES)
    return "refusal: the answer is a refusal" if refused else "not-json: the answer is not JSON, or it was cut off"


def _text(item: Any) -> Text | str:
    if not isinstance(item, dict) or not isinstance(item.get("text"), str) or not isinstance(item.get("language"), str):
        return "not-text"
    text = clean(item["text"][: 10 * LONGEST])
    if len(text) < SHORTEST:
        return "too-short"
    return "too-long" if len(text) > LONGEST else Text(text, clean(item["language"][:20]).lower().split("-")[0])


def _fault(text: Text, languages: Sequence[str]) -> str | None:
    if told := _broken(text.text):
        return told
    asked = {language.lower().split("-")[0] for language in languages}
    return None if text.language in asked and not _surely_another(text.text, {text.language}) else "language"


def _broken(text: str) -> str | None:
    return next((kind for kind, rule in _RULES if rule.search(text)), None)


def _repeats(text: Text, kept: Iterable[Text]) -> str | None:
    return "duplicate" if any(near(text.text, other.text) for other in kept) else None


def _set_faults(kept: list[Text], facts: Facts, count: int, languages: Sequence[str]) -> Iterable[str]:
    if len(kept) < count:
        yield f"too-few: {len(kept)} of {count} texts can be used"
    for language in dict.fromkeys(one.lower().split("-")[0] for one in languages):
        own = [text.text for text in kept if text.language == language]
        if not own and kept and count >= len(languages):
            yield f"language: no text is in '{language}'"
        elif _surely_another(" ".join(own), {language}):
            yield f"language: the texts called '{language}' are in another language"
    english = [text.text for text in kept if text.language == "en"]
    if sum(names_object(text, facts) for text in english) < NAMED * len(english):
        yield f"object-not-named: too few texts name the object ({clean(facts.name)[:100]})"


def _surely_another(text: str, languages: set[str]) -> bool:
    """Whether a text is in none of these languages beyond doubt: short ones cannot be judged and pass."""
    if len(text) < _LONG_ENOUGH or not languages <= set(_identifier().labels):
        return False
    found, probability = _identifier().classify(text)
    return found not in languages and float(probability) >= _SURE


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
