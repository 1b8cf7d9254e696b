"""HTML pages taken apart, and what is asked of every page."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"circle", "meta", "path", "rect"}
POINTS_OUTSIDE = {"src", "href", "xlink:href", "action", "data", "poster", "srcset"}
SCRIPT = "<script>alert(1)</script>"
CONTRASTS = """
() => {
  const channels = (color) =>
    color.match(/[\\d.]+/g).map((part) => Number(part) * (color.startsWith("color(") ? 255 : 1));
  const linear = (value) =>
    value <= 10.31475 ? value / 255 / 12.92 : Math.pow((value / 255 + 0.055) / 1.055, 2.4);
  const luminance = ([r, g, b]) =>
    0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const behind = (element) => {
    const color = channels(getComputedStyle(element).backgroundColor);
    return color.length === 3 || color[3] > 0 ? color : behind(element.parentElement);
  };
  const written = (element) =>
    [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  const texts = [...document.body.querySelectorAll("*")].filter(written).map((element) =>
    contrast(channels(getComputedStyle(element).color), behind(element)));
  const shapes = [...document.querySelectorAll(".track span, .swatch, .mark")].map((element) =>
    contrast(behind(element), behind(document.body)));
  const columns = [...document.querySelectorAll("figure rect")].map((element) =>
    contrast(channels(getComputedStyle(element).fill), behind(document.body)));
  return [texts, shapes.concat(columns)].map((found) => [found.length, Math.min(...found)]);
}
"""


class Document(HTMLParser):
    """A page taken apart; every tag that was opened must be closed, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.tables: dict[str, list[list[str]]] = {}
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "caption":
            self._caption = ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in {"th", "td"}:
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag
        if tag == "caption":
            self._rows = self.tables.setdefault(self._caption, [])
        elif tag in {"th", "td"}:
            self._rows[-1][-1] = " ".join(self._rows[-1][-1].split())

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.text += data
        if "caption" in self._open:
            self._caption += data
        elif {"th", "td"} & set(self._open):
            self._rows[-1][-1] += data

    def all(self, name: str) -> list[str]:
        """The values of an attribute, wherever it stands."""
        return [attributes[name] for _, attributes in self.tags if name in attributes]

    def table(self, caption: str) -> list[list[str]]:
        """The cells of a table below its heading row."""
        return self.tables[caption][1:]
