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
# Makes the runs of some configs, and returns them in their order.
Make = Callable[[Sequence[RunConfig]], list]


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

    Each exhibit is drawn as soon as its runs are whole; runs that others have made are shared.

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
    runs, shown = {}, {}
    for exhibit in exhibits:
        missing = [study for study in studies_of([exhibit]) if study not in runs]
        runs |= make_runs(missing, runs, scale, make)
        shown[exhibit.name] = exhibit.write(runs, folder, scale)
        drawn(exhibit)
    findings = _findings(paper, exhibits, runs, folder)
    content = {name: dataclasses.asdict(found) for name, found in findings.items()}
    write_whole(folder / CLAIMS, (json.dumps(content, indent=1) + "\n").encode())
    made = Reproduction(paper, scale, folder, shown, runs, findings)
    page_of_paper(made).write(folder / paths.PAGE)
    return made


def make_runs(studies: Sequence[Study], known: Mapping, scale: Scale, make: Make) -> dict:
    """Return the runs of studies; those whose tickets others take are made first.

    Args:
        studies: each once.
        known: study -> `Run` of those that are there.
        scale, make: as `reproduce` takes them.
    """
    made = {}
    for of_others in (False, True):
        chosen = [study for study in studies if (study.source is not None) == of_others]
        if chosen:
            sources = {**known, **made}
            configs = [scale.config(s, s.source and sources[s.source].path) for s in chosen]
            made |= dict(zip(chosen, make(configs), strict=True))
    return made


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
