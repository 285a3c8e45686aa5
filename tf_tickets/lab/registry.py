"""Cards by name: one for each model, data set, method, metric and arm."""

from collections.abc import Iterable, Iterator, Mapping

from tf_tickets.errors import SettingError


class Registry(Mapping):
    """The cards of one kind, in the order in which they were added.

    Args:
        kind: what the cards are of, such as "model".
        cards: objects with a `name`.
    """

    def __init__(self, kind: str, cards: Iterable = ()):
        self.kind = kind
        self._cards = {}
        for card in cards:
            self.add(card)

    def add(self, card):
        """Add a card and return it.

        Raises:
            SettingError: if there is another card of this name.
        """
        if self._cards.setdefault(card.name, card) is not card:
            raise SettingError(f"There is already a {self.kind} {card.name!r}: choose a new name.")
        return card

    def __getitem__(self, name):
        if name not in self:
            raise SettingError(
                f"Unknown {self.kind} {name!r}. Choose one of: {', '.join(self._cards)}."
            )
        return self._cards[name]

    def __contains__(self, name):
        return isinstance(name, str) and name in self._cards  # a list could not be looked for

    def __iter__(self) -> Iterator[str]:
        return iter(self._cards)

    def __len__(self):
        return len(self._cards)
