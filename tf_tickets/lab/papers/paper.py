"""What a paper is to the laboratory: its experiments, its figures and tables, and its claims.

A card names everything as the paper does. A `Scale` says what stands in for the paper's models and
data, so the same card is a run of minutes on digits and one of days on CIFAR-10.
"""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tf_tickets.errors import SettingError

if TYPE_CHECKING:
    from tf_tickets.lab.papers.claims import Claim
    from tf_tickets.lab.papers.exhibits import Exhibit
    from tf_tickets.lab.papers.scale import Scale


@dataclasses.dataclass(frozen=True)
class Study:
    """One search of a paper; figures that need the same one share its run.

    Attributes:
        model: a name in `MODELS`.
        dataset: the paper's data set, a key of `Scale.data`.
        method: a name in `METHODS`.
        options: of the method, beside those that a scale decides.
        arms: what the masks are trained from.
        source: the study whose tickets are transferred; None if tickets are the model's own.
        way: a name in `WAYS`, of a study that is compared with other ways of pruning at equal
            sparsities; it decides the method.
    """

    model: str
    dataset: str
    method: str = "imp"
    options: tuple[tuple[str, object], ...] = ()
    arms: tuple[str, ...] = ("winning", "random")
    source: "Study | None" = None
    way: str | None = None

    def but(self, **options) -> "Study":
        """Return the same search with other options of its method."""
        return dataclasses.replace(
            self, options=tuple(sorted((dict(self.options) | options).items()))
        )

    def __str__(self):
        words = [f"{self.model} on {self.dataset}", self.way or self.method]
        words += [f"{name} {value}" for name, value in self.options]
        words += [f"tickets of {self.source.model}"] if self.source else []
        return ", ".join(words)


@dataclasses.dataclass(frozen=True)
class Paper:
    """A paper, as far as it can be run.

    Attributes:
        name: under which commands know it, such as "kalibhat2021".
        title: the paper's.
        citation: who, when, where.
        exhibits: its figures and tables, in the paper's order.
        claims: what it says, each with a test of its own.
        scales: from the smallest to the paper's own.
    """

    name: str
    title: str
    citation: str
    exhibits: tuple["Exhibit", ...]
    claims: tuple["Claim", ...]
    scales: tuple["Scale", ...]

    def chosen(self, names: Sequence[str]) -> list["Exhibit"]:
        """Return the exhibits of these names; all of them if there is none.

        Raises:
            SettingError: if the paper has no exhibit of a name.
        """
        known = {exhibit.name: exhibit for exhibit in self.exhibits}
        for name in names:
            if name not in known:
                raise SettingError(
                    f"{self.name} has no {name!r}. Choose among: {', '.join(known)}."
                )
        return [known[name] for name in names or known]

    def deciding(self, claim: "Claim") -> list["Exhibit"]:
        """Return the exhibits whose runs decide a claim; no more than it takes.

        Args:
            claim: of this paper.
        """
        if claim.costs:
            return self.chosen([claim.costs])
        missing, found = set(claim.studies), []
        while missing:
            found.append(max(self.exhibits, key=lambda each: len(missing & set(each.studies))))
            missing -= set(found[-1].studies)
        return found

    def scale(self, name: str) -> "Scale":
        """Return the scale of a name.

        Raises:
            SettingError: if the paper has none of it.
        """
        known = {scale.name: scale for scale in self.scales}
        if name not in known:
            raise SettingError(
                f"{self.name} has no scale {name!r}. Choose among: {', '.join(known)}."
            )
        return known[name]


def studies_of(parts: Sequence) -> list[Study]:
    """Return the studies of exhibits or claims, each once, those that others take tickets of first.

    Args:
        parts: whatever has `studies`.
    """
    found = dict.fromkeys(study for part in parts for study in part.studies)
    sources = dict.fromkeys(study.source for study in found if study.source)
    return list(dict.fromkeys([*sources, *found]))
