"""The arms of a search: how each is named and drawn, in the order of tables and figures."""

import dataclasses

from tf_tickets.lab.registry import Registry


@dataclasses.dataclass(frozen=True)
class ArmCard:
    """One arm.

    Attributes:
        name: its name in records.
        label: what a figure says of it.
        color: of its points and lines.
        marker: of its points, as matplotlib names it; dense is a line without any.
        slim_label: what a figure says of it if channels were removed and not weights; None if that
            is no different.
    """

    name: str
    label: str
    color: str
    marker: str = ""
    slim_label: str | None = None

    def label_of(self, slim: bool) -> str:
        """Return what a figure says of the arm.

        Args:
            slim: whether channels were removed and not weights.
        """
        return self.slim_label if slim and self.slim_label else self.label


# Colours that colour-blind people tell apart (Okabe and Ito, 2008), and shapes besides.
ARMS = Registry(
    "arm",
    [
        ArmCard("dense", "dense: nothing pruned", "#444444"),
        ArmCard(
            "winning",
            "winning: rewound weights",
            "#0072B2",
            "o",
            slim_label="early-bird: slim, trained on",
        ),
        ArmCard("transferred", "transferred: another model's rewound weights", "#009E73", "^"),
        ArmCard(
            "random",
            "random: fresh weights, same masks",
            "#D55E00",
            "s",
            slim_label="random: slim, fresh weights",
        ),
        ArmCard("shuffled", "shuffled: masks shuffled by layer", "#CC79A7", "D"),
    ],
)
