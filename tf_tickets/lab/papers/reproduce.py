"""The figures, tables and claims of a paper, from nothing or from what is there of their runs."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence

from tf_tickets.files import write_whole
from tf_tickets.lab.config import RunConfig
from tf_tickets.lab.papers.claims import Finding
from tf_tickets.lab.papers.exhibits import Costs, Exhibit, Shown
from tf_tickets.lab.papers.paper import Paper, Study, studies_of
from tf_tickets.lab.papers.scale import Scale
from tf_tickets.runs import paths

CLAIMS = "claims.json"
Ended = Callable[[RunConfig, object], None]
# Makes the runs of some configs, and returns them in their order; calls `ended(config, run)` as
# soon as one is whole, of configs that are the same run once.
Make = Callable[[Sequence[RunConfig], Ended], list]


@dataclasses.dataclass(frozen=True)
class Reproduction:
    """What was made of a paper.

    Attributes:
        paper, scale: which, and how large.
        folder: of the exhibits; the run folders lie beside it.
        shown: exhibit's name -> what was drawn, in the order of drawing.
        runs: study -> its `Run`.
        findings: claim -> what the runs say, of each claim that they can decide.
    """

    paper: Paper
    scale: Scale
    folder: pathlib.Path
    shown: Mapping[str, Shown]
    runs: Mapping[Study, object]
    findings: Mapping[str, Finding]


def reproduce(
    paper: Paper,
    scale: Scale,
    exhibits: Sequence[Exhibit],
    output,
    make: Make,
    drawn: Callable[[Exhibit], None] = lambda exhibit: None,
) -> Reproduction:
    """Make the runs that some exhibits need, draw these, and test the claims that can be tested.

    All runs share one queue. Each exhibit is drawn as soon as its runs are whole.

    Args:
        paper: of the exhibits.
        scale: of its runs.
        exhibits: figures and tables of the paper.
        output: the folder in which the run folders are, and a folder for the exhibits.
        make: makes runs of configs; runs that are whole are only looked at.
        drawn: called after each exhibit.
    """
    from tf_tickets.lab.papers.page import page_of_paper

    folder = pathlib.Path(output) / f"{paper.name}-{scale.name}"
    folder.mkdir(parents=True, exist_ok=True)
    gallery = _Gallery(exhibits, scale, folder, drawn)
    own, of_others = [], []
    for study in studies_of(exhibits):
        (of_others if study.source else own).append(study)
    for studies in (own, of_others):  # tickets have to be there before others take them
        if studies:
            _make_runs(studies, scale, make, gallery)
    findings = _findings(paper, exhibits, gallery.runs, folder)
    content = {name: dataclasses.asdict(found) for name, found in findings.items()}
    write_whole(folder / CLAIMS, (json.dumps(content, indent=1) + "\n").encode())
    made = Reproduction(paper, scale, folder, gallery.shown, gallery.runs, findings)
    page_of_paper(made).write(folder / paths.PAGE)
    return made


class _Gallery:
    """The runs that are made, and the exhibits that could be drawn of them."""

    def __init__(self, exhibits, scale, folder, drawn):
        self.runs: dict[Study, object] = {}
        self._exhibits, self._scale, self._folder, self._drawn = exhibits, scale, folder, drawn
        self._shown = {}

    @property
    def shown(self) -> dict[str, Shown]:
        """Exhibit's name -> what was drawn, in the order of the exhibits."""
        return {each.name: self._shown[each.name] for each in self._exhibits}

    def add(self, runs: Mapping[Study, object]) -> None:
        """Take runs that are whole, and draw what they were missing for."""
        self.runs |= runs
        for exhibit in self._exhibits:
            if exhibit.name not in self._shown and self.runs.keys() >= set(exhibit.studies):
                self._shown[exhibit.name] = exhibit.write(self.runs, self._folder, self._scale)
                self._drawn(exhibit)


def _make_runs(studies, scale, make, gallery):
    """Make the runs of studies, and hang each in the gallery as soon as it is whole."""
    configs = [scale.config(s, s.source and gallery.runs[s.source].path) for s in studies]

    def ended(config, run):
        same = [s for s, own in zip(studies, configs, strict=True) if own == config]
        gallery.add(dict.fromkeys(same, run))

    gallery.add(dict(zip(studies, make(configs, ended), strict=True)))


def _findings(paper, exhibits, runs, folder) -> dict[str, Finding]:
    drawn = {exhibit.name for exhibit in exhibits if isinstance(exhibit, Costs)}
    findings = {}
    for claim in paper.claims:
        if claim.costs in drawn:
            rows = json.loads((folder / f"{claim.costs}.json").read_text())
            findings[claim.name] = claim.judge(rows)
        elif claim.costs is None and set(claim.studies) <= runs.keys():
            findings[claim.name] = claim.judge(runs)
    # A scale may have no round of the sparsities that a claim is about: nothing is known of it.
    return {name: found for name, found in findings.items() if found.seeds}
