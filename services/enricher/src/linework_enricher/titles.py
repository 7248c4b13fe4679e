"""Titles of clusters: what a model is asked, which answers are taken, and what rules write without one."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from linework_core.cluster_titles import Subject
from linework_enricher import check, prompts
from linework_enricher.chat import ChatRequest
from linework_enricher.naming import plain, plural, singular

TEMPLATE_VERSION = "1"  # a change of the rules makes other titles
LONGEST_TITLE, LONGEST_SUMMARY = 80, 400  # characters
SHORTEST = 3
ANSWER_TOKENS = 300
NAMES_IN_TITLE = 2  # of a template
NAMES, WORDS = 3, 5  # of its summary


@dataclass(frozen=True, slots=True)
class Title:
    """What a cluster is called, and what its drawings have in common."""

    title: str
    summary: str


def request(subject: Subject, pictures: Sequence[bytes]) -> ChatRequest:
    """What a model is asked; it sees as many of the pictures as it is given."""
    messages = prompts.cluster(subject.keywords, subject.objects, subject.query)
    return ChatRequest(messages, images=tuple(pictures), schema=prompts.CLUSTER_SCHEMA, max_tokens=ANSWER_TOKENS)


def read(answer: str) -> tuple[Title, Sequence[str]]:
    """The title in a model's answer, and its faults ('kind: sentence'), none where it can be taken. Never raises."""
    nothing = Title("", "")
    told = check.parsed(answer)
    if isinstance(told, str):
        return nothing, [told]
    if not isinstance(told, dict) or not all(isinstance(told.get(name), str) for name in ("title", "summary")):
        return nothing, ['wrong-schema: the answer must be {"title": "…", "summary": "…"}']
    title = Title(_clean(told["title"], LONGEST_TITLE), _clean(told["summary"], LONGEST_SUMMARY))
    faults = [
        *_faults("title", title.title, LONGEST_TITLE),
        *_faults("summary", title.summary, LONGEST_SUMMARY),
    ]
    return title, faults


def by_template(subject: Subject) -> Title:
    """Named by the commonest of its objects and the words that tell it apart, for nobody has looked at it."""
    names = [plural(name) for name in _different(filter(None, map(plain, subject.objects)))]
    summary = f"Drawings of {_listed(names, NAMES)}." if names else "Drawings that look alike."
    if subject.keywords:
        summary += f" Words that tell them from the other results: {', '.join(subject.keywords[:WORDS])}."
    title = _template_title(names, subject.keywords)
    return Title(_clean(title, LONGEST_TITLE)[:LONGEST_TITLE], _clean(summary, LONGEST_SUMMARY)[:LONGEST_SUMMARY])


def _template_title(names: Sequence[str], keywords: Sequence[str]) -> str:
    """'Desk lamps, table lamps and others'; by the keywords where nothing has a name."""
    if not names:
        return f"Designs: {', '.join(keywords[:NAMES])}" if keywords else "Designs"
    whole = _capital(_listed(names, NAMES_IN_TITLE))
    return whole if len(whole) <= LONGEST_TITLE else _capital(_listed(names, 1))


def _clean(text: str, longest: int) -> str:
    return check.clean(text[: 10 * longest])


def _faults(part: str, text: str, longest: int) -> Iterator[str]:
    if broken := check.broken_rule(text):
        yield f"{broken.kind}: the {part} {broken.said}"
    elif not SHORTEST <= len(text) <= longest:
        kind = "too-short" if len(text) < SHORTEST else "too-long"
        yield f"{kind}: the {part} must have {SHORTEST} to {longest} characters"


def _different(names: Iterable[str]) -> list[str]:
    """Each name once, in whatever number it stands."""
    kept: dict[str, str] = {}
    for name in names:
        kept.setdefault(singular(name), name)
    return list(kept.values())


def _listed(names: Sequence[str], most: int) -> str:
    """'desk lamps, table lamps and others'."""
    shown = [*names[:most], *(["others"] if len(names) > most else [])]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
