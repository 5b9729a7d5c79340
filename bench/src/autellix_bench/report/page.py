"""The page: one HTML file that needs no other, in light, in dark and on paper."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from autellix_bench.report.claims import CLAIMS, PAPER, Claim
from autellix_bench.report.content import Section, Table
from autellix_bench.report.drawing import Plot
from autellix_bench.report.findings import RULES, Finding, Verdict
from autellix_bench.report.html import Html, element, join

__all__ = ["NOT_EXPLAINED", "Drawn", "page"]

NOT_EXPLAINED = "Not explained yet."
NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A plot's two pictures."""

    light: bytes
    dark: bytes


def page(
    sections: Sequence[Section],
    *,
    title: str,
    facts: Mapping[str, str],
    missing: Sequence[str],
    found: Mapping[str, Finding | None],
    reasons: Mapping[str, str],
    pictures: Mapping[str, Drawn],
) -> str:
    """The whole page. ``found`` and ``reasons`` are by a claim's id, ``pictures`` by a plot's name."""
    said = _Said(found, reasons, {name: section.id for section in sections for name in _claims_of(section)})
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("link", rel="icon", href="data:,"),
        element("style", Html(files("autellix_bench.report").joinpath("page.css").read_text("utf-8"))),
    )
    links = [("summary", "The paper's claims and ours"), *((section.id, section.title) for section in sections)]
    contents = element("nav", element("p", "Contents"), _list(*(element("a", t, href=f"#{i}") for i, t in links)))
    body = element(
        "main",
        element("h1", title),
        element("dl", *(join([element("dt", name), element("dd", fact)]) for name, fact in facts.items())),
        _summary(said, missing),
        *(_section(section, said, pictures) for section in sections),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', contents, body), lang='en')}\n"


@dataclass(frozen=True, slots=True)
class _Said:
    found: Mapping[str, Finding | None]
    reasons: Mapping[str, str]
    places: Mapping[str, str]

    def cells(self, claim: Claim, *, linked: bool) -> Html:
        """What the paper says, what was found, the verdict and the reason."""
        finding, reason = self.found.get(claim.id), self.reasons.get(claim.id)
        place = self.places.get(claim.id)
        says = element("a", claim.says, href=f"#{place}") if linked and place else claim.says
        if finding is None:
            verdict, ours = element("span", NOT_MEASURED, class_="verdict missing"), "No points answer it."
        else:
            kind = finding.verdict.name.lower()
            verdict, ours = element("span", finding.verdict.value, class_=f"verdict {kind}"), finding.text
            if finding.verdict.needs_reason:
                reason = reason or NOT_EXPLAINED
        why = [element("p", element("b", "Why: "), reason)] if reason else []
        return element(
            "tr",
            element("th", says, element("small", claim.where), scope="row"),
            element("td", ours, *why),
            element("td", verdict),
        )

    def table(self, claims: Sequence[Claim], caption: str, *, linked: bool = False) -> Html:
        """These claims."""
        head = element("tr", *(element("th", name, scope="col") for name in ("The paper", "Here", "Verdict")))
        rows = element("tbody", *(self.cells(claim, linked=linked) for claim in claims))
        return _scrolling(element("table", element("caption", caption), element("thead", head), rows, class_="claims"))


def _summary(said: _Said, missing: Sequence[str]) -> Html:
    return element(
        "section",
        element("h2", "The paper's claims and ours"),
        element("p", f"{_tally(said.found)} The paper: {PAPER}. {RULES}"),
        said.table(CLAIMS, "Every claim, with how it stands", linked=True),
        *([element("p", "Left out:"), _list(*missing)] if missing else []),
        id="summary",
    )


def _tally(found: Mapping[str, Finding | None]) -> str:
    verdicts = Counter(finding.verdict for finding in found.values() if finding is not None)
    counts = [f"{verdicts[verdict]} {verdict.value}" for verdict in Verdict if verdicts[verdict]]
    unmeasured = sum(finding is None for finding in found.values())
    return f"Of {len(found)} claims: {'; '.join([*counts, f'{unmeasured} {NOT_MEASURED}'] if unmeasured else counts)}."


def _section(section: Section, said: _Said, pictures: Mapping[str, Drawn]) -> Html:
    return element(
        "section",
        element("h2", section.title),
        element("p", section.intro),
        *(_figure(plot, said, pictures[plot.name]) for plot in section.plots),
        *(_table(table) for table in section.tables),
        id=section.id,
    )


def _figure(plot: Plot, said: _Said, drawn: Drawn) -> Html:
    pictures = (("light", drawn.light), ("dark", drawn.dark))
    shown = [element("img", class_=theme, src=_uri(png), alt=plot.alt) for theme, png in pictures]
    claims = [claim for claim in CLAIMS if claim.id in plot.claims]
    beside = [said.table(claims, "The paper's claim and ours")] if claims else []
    caption = element("figcaption", plot.caption, element("small", f"{plot.name}.png"))
    return join([element("figure", *shown, caption, id=f"figure-{plot.name}"), *beside])


def _table(table: Table) -> Html:
    head = element("tr", *(element("th", name, scope="col") for name in table.head))
    rows = [
        element("tr", element("th", name, scope="row"), *(element("td", cell) for cell in cells))
        for name, *cells in table.rows
    ]
    caption = element("caption", table.caption)
    return _scrolling(element("table", caption, element("thead", head), element("tbody", *rows), class_="numbers"))


def _scrolling(table: Html) -> Html:
    return element("div", table, class_="scrolls")


def _list(*items: str) -> Html:
    return element("ul", *(element("li", item) for item in items))


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode()}"


def _claims_of(section: Section) -> list[str]:
    return [claim for plot in section.plots for claim in plot.claims]
