"""What stands around and between the symbols of a text and says nothing: fences, tags, LaTeX, typography.

Every step is one pass, linear in the length of the text.
"""

import html
import re
import unicodedata

_SAME = {  # what NFKC leaves apart, or would make too much of
    '"': "“”„‟«»″❝❞",
    "'": "‘’‚‛′",
    "-": "‐‑‒–—―−⁃﹘─━┄┅┈┉╌╍═╴╶",
    "|": "│┃║┆┇┊┋╎╏︱",
    "+": "┌┍┎┏┐┑┒┓└┕┖┗┘┙┚┛├┝┞┟┠┡┢┣┤┥┦┧┨┩┪┫┬┭┮┯┰┱┲┳┴┵┶┷┸┹┺┻┼┽┾┿╀╁╂╃╄╅╆╇╈╉╊╋╒╓╔╕╖╗╘╙╚╛╜╝╞╟╠╡╢╣╤╥╦╧╨╩╪╫╬",
    ".": "·⋅∙・",
    "*": "•●▪",
    "_": "□☐▢◻◽⬜⬚␣∅",
    ",": "、،",
    "->": "→⇒⟶⟹➔➜➝➞↔⇔⟷⇄",
    "\n": "\u0085\u2028\u2029\v\f",
    "\ufffd": "…⋯",  # an ellipsis stands for what is not there: NFKC would make three blanks of it
}


class _Characters(dict[int, str]):
    """How each character is written plainly; found out when it is first met.

    One by one, since NFKC of a whole text takes time quadratic in a run of combining marks.
    """

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kind = unicodedata.category(character)
        if kind in ("Cf", "Me", "Cc", "Cs", "Co") or 0xFE00 <= code <= 0xFE0F:  # no width, keycaps, variants
            plain = "" if code > 31 else character
        elif kind in ("Zs", "Pd"):
            plain = " " if kind == "Zs" else "-"
        elif kind == "Nd":
            plain = str(unicodedata.decimal(character))
        else:
            plain = unicodedata.normalize("NFKC", character)
        self[code] = plain
        return plain


_CHARACTERS = _Characters({ord(odd): plain for plain, all_odd in _SAME.items() for odd in all_odd})

_UNICODE = re.compile(r"\\u([0-9a-fA-F]{4})")
_SPECIAL = re.compile(r"<\|[^<>|\n]{1,64}\|>|\[/?[A-Z][A-Z_]{2,}\d{0,4}\]")  # <|im_end|>, [/INST]
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9_-]*)[^<>\n]{0,200}>")
_TAGS = {"br": "\n", "/tr": "|\n", "tr": "\n", "td": "|", "th": "|", "/p": "\n", "/li": "\n", "/div": "\n"}

_LATEX = re.compile(
    r"\\(?:(?P<group>[a-zA-Z]+)\*?\s*\{|(?P<name>[a-zA-Z]+)|(?P<symbol>[^a-zA-Z]))|(?P<brace>[{}])"
)
_LATEX_NAMES = {
    **dict.fromkeys(("to", "rightarrow", "leftrightarrow", "mapsto", "longrightarrow"), "->"),
    **dict.fromkeys(("cdot", "bullet"), "."),
    **dict.fromkeys(("square", "Box", "_"), "_"),
    **dict.fromkeys(("hline", "cr", "newline", "n"), "\n"),
}
_LATEX_WITH_N = frozenset({"nabla", "ne", "neg", "neq", "noindent", "nonumber", "not", "notin", "nu"})
_LATEX_SYMBOLS = {"\\": "\n", **{symbol: symbol for symbol in "{}_-*.|#\"'`~"}}
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{[a-zA-Z*]+\}(?:\s*\{[lcr|@! .]*\})?")
_IN_TABLE = re.compile(r"(?<!\\)&")

_FENCE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[ \t]*(?:\{?\.?[A-Za-z][\w.+#-]*\}?)?[ \t]*$", re.MULTILINE)
_QUOTE = re.compile(r"^[ \t]*>[ \t]?", re.MULTILINE)
_BOLD = re.compile(r"(?<![^\s,;|\[({:\"'])\*\*([^*\n]+)\*\*(?![^\s,;|\])}.:\"'])")


def is_plain(text: str) -> bool:
    """Whether JSON has nothing in its strings that `plain` would write in another way."""
    return text.isascii() and "\\" not in text


def plain(text: str) -> str:
    """`text` in ASCII where it can be, without the marks that a reader looks through.

    Code fences, backticks, bold type, quotation marks of Markdown, HTML, LaTeX and special tokens go; cells
    of HTML and LaTeX tables stand between `|`, their rows in lines. Rules and corners of drawn boards become
    `-`, `|`, `+`; digits, dashes, quotes and spaces of all kinds the usual ones; what has no width goes.
    """
    if "\\u" in text:
        text = _UNICODE.sub(lambda match: chr(int(match[1], 16)), text)
    if "&" in text:
        text = _IN_TABLE.sub(" | ", html.unescape(text)) if "\\" in text else html.unescape(text)
    if not text.isascii():
        text = text.translate(_CHARACTERS)
    if "<" in text or "[" in text:
        text = _TAG.sub(_tag, _SPECIAL.sub(" ", text))
    if "\\" in text:
        text = _without_latex(_ENVIRONMENT.sub("\n", text))
    text = _FENCE.sub("", text).replace("`", " ").replace("~~~", " ").replace("$", " ")
    if ">" in text:
        text = _QUOTE.sub("", text)
    return _BOLD.sub(r"\1", text) if "**" in text else text


def _tag(match: re.Match[str]) -> str:
    return _TAGS.get(match[1] + match[2].lower(), "")


def _command(name: str) -> str:
    if name not in _LATEX_NAMES and name.startswith("n") and name not in _LATEX_WITH_N:
        return "\n" + name[1:]  # a line that ends within a JSON string
    return _LATEX_NAMES.get(name, " ")


def _without_latex(text: str) -> str:
    """Commands go, and with them the braces around their argument; some are another way to write a symbol."""
    pieces: list[str] = []
    transparent: list[bool] = []  # of every open brace: whether it goes
    end = 0
    for match in _LATEX.finditer(text):
        pieces.append(text[end : match.start()])
        end = match.end()
        if match["group"]:
            transparent.append(True)
            pieces.append(" ")
        elif match["name"]:
            pieces.append(_command(match["name"]))
        elif match["symbol"]:
            pieces.append(_LATEX_SYMBOLS.get(match["symbol"], " "))
        elif match["brace"] == "{":
            transparent.append(False)
            pieces.append("{")
        else:
            pieces.append(" " if transparent and transparent.pop() else "}")
    return "".join([*pieces, text[end:]])
