"""What the stub's model says: always the same for the same request, and sensible enough to pass every check."""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

SENTENCES = {
    "en": (
        "A {object} shown in a clean line drawing, with its overall silhouette well visible.",
        "Ornamental design for a {object} with rounded corners and a slim profile.",
        "The drawing depicts the outer contour of a {object}, wider at its base than at its top.",
        "Product appearance: {object}, symmetrical about a vertical axis.",
        "This {object} has smooth surfaces interrupted by a narrow horizontal groove.",
        "Broken lines around the {object} illustrate its environment and form no part of the claim.",
        "Proportions of the {object}: roughly twice as tall as it is deep.",
        "A household or commercial article of the kind known as {object}, seen without any lettering.",
        "Concentric arcs decorate the front of the {object}.",
        "Compact {object} whose parts are arranged in a row from left to right.",
        "The {object} tapers towards one end, where a small opening is placed.",
        "Shading strokes suggest that the {object} is curved rather than flat.",
        "Minimalist {object} having a continuous edge and hidden fasteners.",
        "Patent figure of a {object} with a textured grip area near the middle.",
        "An elongated body and a shorter attached portion together make up the {object}.",
        "Search terms such as {object}, fitting, device and appliance describe this article.",
        "Stepped layers give the {object} a terraced look when seen at an angle.",
        "The visual impression of the {object} is dominated by two parallel ribs.",
        "A {object} resting on four short feet, its upper face slightly domed.",
        "Circular and rectangular elements alternate on the surface of the {object}.",
        "Chamfered edges frame the central panel of the {object}.",
        "What stands out in this {object} is the contrast of a heavy frame with thin inner lines.",
        "One-piece {object} with a looped handle integrated into its outline.",
        "Decorative {object} whose pattern repeats at regular intervals.",
        "Seen obliquely, the {object} reveals a recess along its lower rim.",
        "Slender supports carry the main volume of the {object}.",
    ),
    "de": (
        "Ein {object} in einer klaren Strichzeichnung mit gut sichtbarer Silhouette.",
        "Geschmacksmuster für {object} mit abgerundeten Ecken und schmalem Profil.",
        "Die Zeichnung zeigt den Umriss von {object}, unten breiter als oben.",
        "Die glatten Flächen von {object} werden durch eine waagerechte Nut unterbrochen.",
        "Symmetrischer Aufbau: {object} mit senkrechter Mittelachse und flachem Boden.",
        "Konzentrische Bögen schmücken die Vorderseite von {object}.",
        "Zwei parallele Rippen bestimmen den Gesamteindruck von {object}.",
        "Auf vier kurzen Füßen steht {object}, die Oberseite ist leicht gewölbt.",
        "Zum Ende hin verjüngt sich {object} und hat dort eine kleine Öffnung.",
        "Schlanke Stützen tragen den Hauptkörper von {object}.",
    ),
}


def purpose_of(body: dict[str, Any]) -> str:
    """'describe', 'title' or 'caption', told by the schema, or by the last message where a server lacks schemas."""
    form = body.get("response_format", {}).get("json_schema", {}).get("schema")
    text = json.dumps(form) if form else _text(body["messages"][-1])
    if '"texts"' in text:
        return "describe"
    return "title" if '"summary"' in text else "caption"


def answer_to(body: dict[str, Any]) -> str:
    """The assistant's text."""
    prompt = "\n".join(_text(message) for message in body["messages"])
    name = _object(prompt)
    purpose = purpose_of(body)
    if purpose == "describe":
        return json.dumps({"texts": _texts(name, _count(prompt, body), _languages(prompt))}, ensure_ascii=False)
    if purpose == "title":
        summary = f"These designs share the outline of a {name}; they differ in their proportions and surface."
        return json.dumps({"title": f"Designs for a {name}", "summary": summary})
    shade = int(hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest(), 16) % 7 + 2
    return (
        f"A line drawing of a {name}. The contour is closed and nearly symmetrical, about {shade} times as wide "
        "as deep; the surface is plain but for a groove along the rim, and the parts are arranged one above the other."
    )


def _texts(name: str, count: int, languages: list[str]) -> list[dict[str, str]]:
    texts = []
    for number in range(count):
        language = languages[number % len(languages)]
        sentences = SENTENCES.get(language, SENTENCES["en"])
        texts.append({"text": sentences[number // len(languages) % len(sentences)], "language": language})
    return [{**text, "text": text["text"].format(object=name)} for text in texts]


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def _object(prompt: str) -> str:
    for record in _records(prompt):
        for name in ("object", "title"):
            if isinstance(record.get(name), str) and record[name]:
                return str(record[name])
    return "design"


def _count(prompt: str, body: dict[str, Any]) -> int:
    numbers = [record["count"] for record in _records(prompt) if isinstance(record.get("count"), int)]
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {})
    numbers.append(schema.get("properties", {}).get("texts", {}).get("minItems") or 0)
    said = re.findall(r"\b(\d{1,3})\s+(?:\w+\s+){0,3}(?:texts|descriptions|sentences)\b", prompt)
    return next((number for number in [*numbers, *map(int, said)] if number), 20)


def _languages(prompt: str) -> list[str]:
    for record in _records(prompt):
        asked = record.get("languages")
        if isinstance(asked, list) and asked:
            return [str(language) for language in asked]
    if told := re.search(r"\bLanguages: ((?:[a-z]{2}(?:, )?)+)", prompt):
        return told[1].split(", ")
    found = re.search(r"\blanguages?\b[^.\n]{0,40}?\b(en|de)\b((?:[ ,\"']+(?:and )?(?:en|de)\b)*)", prompt)
    return re.findall(r"en|de", found[0].split("language", 1)[1]) if found else ["en"]


def _records(text: str) -> Iterator[dict[str, Any]]:
    """Every JSON object in the text, and the objects in it."""
    decoder, at = json.JSONDecoder(), text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except ValueError:
            end = at + 1
        else:
            yield from _inside(value)
        at = text.find("{", end)


def _inside(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for member in value.values():
            yield from _inside(member)
    elif isinstance(value, list):
        for member in value:
            yield from _inside(member)
