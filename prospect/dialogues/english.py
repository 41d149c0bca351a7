"""Small rules of English, enough to speak of steps and mistakes in the second person.

In: step names as datasets write them ("The student grabs the GoPro.", "Attach the wheels.") and
remarks on mistakes. Out: phrases that fit into a sentence. Unknown forms pass through unchanged.
"""

import re
from collections.abc import Sequence

_SUBJECT = re.compile(
    r"(?:the |your |both )?(?:stu[a-z]*|users?|persons?|he|she|they|(?:left |right )?hands?) ",
    re.IGNORECASE,
)
_OPENING = re.compile(r"(?:then|first|next|now|and|finally),? ", re.IGNORECASE)
_GERUND = re.compile(r"(?!bring|string|swing|wring|sling)\w+ing")
_FIELD = re.compile(r"\w+ error: (?=(?:\S+ ){3})")
_DETERMINER = r"(?:the|a|an|it|them|your|another|one|two|both)"
_NEXT_VERB = re.compile(rf"(?:(?<=\band )|(?<=\bthen ))([a-z]+)(?= {_DETERMINER}\b)")
_ADVERBS = ("also", "just", "now", "only", "then")
_OWN = re.compile(r"\b(?:his|her|their)\b")
_IRREGULAR: dict[str, str] = {
    "be": "were", "beat": "beat", "begin": "began", "bend": "bent", "bind": "bound",
    "bite": "bit", "blow": "blew", "break": "broke", "bring": "brought", "burn": "burnt",
    "buy": "bought", "catch": "caught", "choose": "chose", "cling": "clung", "come": "came",
    "cut": "cut", "dig": "dug", "do": "did", "draw": "drew", "drink": "drank", "drive": "drove",
    "eat": "ate", "fall": "fell", "feed": "fed", "find": "found", "forget": "forgot",
    "get": "got", "give": "gave", "go": "went", "grind": "ground", "grow": "grew", "hang": "hung",
    "have": "had", "hear": "heard", "hide": "hid", "hit": "hit", "hold": "held", "keep": "kept",
    "know": "knew", "lay": "laid", "leave": "left", "lend": "lent", "let": "let", "lie": "lay",
    "light": "lit", "lose": "lost", "make": "made", "meet": "met", "pay": "paid", "put": "put",
    "read": "read", "redo": "redid", "reset": "reset", "rewind": "rewound", "ride": "rode",
    "rise": "rose", "run": "ran", "say": "said", "see": "saw", "sell": "sold", "send": "sent",
    "set": "set", "shake": "shook", "shoot": "shot", "show": "showed", "shrink": "shrank",
    "shut": "shut", "sink": "sank", "sit": "sat", "slide": "slid", "speak": "spoke",
    "spin": "spun", "split": "split", "spread": "spread", "stand": "stood", "stick": "stuck",
    "strike": "struck", "sweep": "swept", "swim": "swam", "swing": "swung", "take": "took",
    "teach": "taught", "tear": "tore", "tell": "told", "think": "thought", "throw": "threw",
    "undo": "undid", "unwind": "unwound", "wear": "wore", "weave": "wove", "wind": "wound",
    "withdraw": "withdrew", "wring": "wrung", "write": "wrote",
}  # fmt: skip
_BASE_OF = {done: base for base, done in _IRREGULAR.items() if done not in _IRREGULAR}
for _also in ("saw", "left", "found", "ground", "wound", "bit"):  # words of their own
    del _BASE_OF[_also]
_AFTER_YOU: dict[str, str] = {
    "is": "are", "has": "have", "does": "do", "doesn't": "don't", "isn't": "aren't",
    "hasn't": "haven't", "was": "were", "wasn't": "weren't",
}  # fmt: skip


def imperative(name: str) -> str:
    """A step's name as a request: "The student turns on their GoPro." -> "turn on your GoPro".

    A name that begins with a verb already ("Attach the wheels.") only loses its capital and stop.
    """
    phrase = _tidy(name)
    opening = _OPENING.match(phrase)
    phrase = phrase[opening.end() :] if opening else phrase
    subject = _SUBJECT.match(phrase)
    if subject is None:
        verb, space, rest = phrase.partition(" ")
        verb = verb[:1].lower() + verb[1:]
        return _BASE_OF.get(verb, verb) + space + rest
    words = _OWN.sub("your", phrase[subject.end() :]).split(" ")
    if words[0] in _ADVERBS and len(words) > 1:
        words = words[1:]
    return _NEXT_VERB.sub(lambda match: _base(match[1]), " ".join([_base(words[0]), *words[1:]]))


def past(phrase: str) -> str:
    """What was done: "turn on the GoPro" -> "turned on the GoPro"; takes an `imperative`.

    What opens with no verb ("using both hands, fold it") becomes "did this: using ...".
    """
    verb, _, rest = phrase.partition(" ")
    if _GERUND.fullmatch(verb):
        return f"did this: {phrase}"
    rest = _NEXT_VERB.sub(lambda match: _past(match[1]), rest)
    return f"{_past(verb)} {rest}".strip()


def to_user(remark: str) -> str:
    """A remark on a mistake, told to who made it: "The student drops it." -> "you dropped it".

    A remark without a subject gets one if it tells what was done ("picked up the bolt") or what
    should not have been. The name of a field before it ("order error: ...") is left out.
    """
    phrase = _FIELD.sub("", _tidy(remark), count=1)
    subject = _SUBJECT.match(phrase)
    if subject is None:
        phrase = phrase[:1].lower() + phrase[1:]
        verb = phrase.partition(" ")[0]
        if verb.endswith("ed") or verb in _IRREGULAR.values():
            phrase = f"you {phrase}"
        if verb in ("shouldn't", "should"):
            phrase = f"that {phrase}"
        return re.sub(r"\bthe student\b", "you", phrase)
    words = _OWN.sub("your", phrase[subject.end() :]).split(" ")
    at = 1 if len(words) > 1 and (words[0].endswith("ly") or words[0] in _ADVERBS) else 0
    if words[at] in _AFTER_YOU:
        words[at] = _AFTER_YOU[words[at]]
    elif words[at].endswith("s") and len(words[at]) > 3:
        words[at] = _past(_base(words[at]))
    return re.sub(r"\bthe student\b", "you", " ".join(["you", *words]))


def brief(phrase: str, num_words: int) -> str:
    """The first clauses of ``phrase`` that fit ``num_words``; all of it if even one doesn't."""
    if len(phrase.split()) <= num_words:
        return phrase
    ends = [match.start() for match in re.finditer(r"[,;.] | and | so | then ", phrase)]
    fitting = [end for end in ends if 2 < len(phrase[:end].split()) <= num_words]
    return phrase[: fitting[-1]].rstrip(" ,;.") if fitting else phrase


def enumerated(phrases: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"; empty text for none."""
    return " and ".join(part for part in (", ".join(phrases[:-1]), *phrases[-1:]) if part)


def count(number: int, noun: str) -> str:
    """``one step``, ``2 steps``."""
    return f"one {noun}" if number == 1 else f"{number} {noun}s"


def _tidy(text: str) -> str:
    return " ".join(text.replace("_", " ").split()).rstrip(" .!;,")


def _base(verb: str) -> str:
    """Third person -> base form; what doesn't end in s stays."""
    if verb in ("has", "is", "does", "goes"):
        return {"has": "have", "is": "be", "does": "do", "goes": "go"}[verb]
    if verb.endswith("ies") and len(verb) > 4:
        return verb[:-3] + "y"
    if re.search(r"(ss|sh|ch|x|zz)es$", verb):
        return verb[:-2]
    return verb[:-1] if verb.endswith("s") and not verb.endswith("ss") else verb


def _past(verb: str) -> str:
    """Base form -> past tense."""
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb.endswith("e"):
        return verb + "d"
    if re.search(r"[^aeiou]y$", verb):
        return verb[:-1] + "ied"
    stem = verb.removeprefix("un").removeprefix("re")
    if re.fullmatch(r"[^aeiou]*[aeiou][^aeiouwxy]", stem):  # one short vowel: grab, drop, unplug
        return verb + verb[-1] + "ed"
    return verb + "ed"
