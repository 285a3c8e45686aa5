"""The records of a run, a line for each ticket: chosen, grouped, and their mean and spread."""

import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tf_tickets.errors import FileError, SettingError
from tf_tickets.files import as_path
from tf_tickets.runs.paths import RESULTS
from tf_tickets.runs.stages import as_line, is_record, key_of, read_records

_MEND = "The command that made the run writes it anew when it is run again."


def mean(values: Iterable[float]) -> float:
    """Return the mean of one value or more.

    Args:
        values: such as those of a metric, one for each seed.

    Raises:
        SettingError: if there is none.
    """
    values = list(values)
    if not values:
        raise SettingError("There is no record to take a mean of.")
    return float(np.mean(values))


def deviation(values: Iterable[float]) -> float | None:
    """Return the standard deviation (n - 1), or None of fewer than two values: it is not known.

    Args:
        values: such as those of a metric, one for each seed.
    """
    values = list(values)
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def collapsed(record: dict) -> str | None:
    """Return why a record's training collapsed, or was not begun; None if it is whole.

    Args:
        record: a line of results.jsonl.
    """
    return record.get("collapsed")  # which older versions did not record


class Records(Sequence):
    """Lines of results.jsonl: a sequence of dicts, which equals a list of the same ones.

    Args:
        records: dicts with `seed`, `round`, `arm` and `metrics`, a dict of numbers by name.

    Raises:
        SettingError: if they are no dicts.

    Example:
        >>> records = Records.read("saved_models/vae-digits-imp-0123abcd")
        >>> for number, group in records.where(arm="winning").by("round").items():
        ...     print(number, group.mean("fcd"), group.deviation("fcd"))
    """

    __hash__ = None

    def __init__(self, records: Iterable[dict] = ()):
        self._records = list(records) if isinstance(records, Iterable) else [records]
        for each in self._records:
            if not isinstance(each, Mapping):
                raise SettingError(
                    "`records` must be dicts, the lines of results.jsonl, as "
                    f"tt.Records.read(folder) returns them. Received: a {type(each).__name__}"
                )

    @classmethod
    def read(cls, folder) -> "Records":
        """Return the records of the run in a folder, from its finished stages.

        Args:
            folder: the run folder, or one with a results.jsonl and no stages.

        Raises:
            FileError: if there is neither, or a stage or a line is damaged; the message names it.
        """
        folder = as_path(folder, "folder")
        return cls(read_records(folder)) or read_results(folder / RESULTS)

    def __len__(self):
        return len(self._records)

    def __getitem__(self, index):
        found = self._records[index]
        return Records(found) if isinstance(index, slice) else found

    def __eq__(self, other):
        if isinstance(other, Records | list):
            return self._records == list(other)
        return NotImplemented

    def __repr__(self):
        return f"Records({self._records!r})"

    def where(self, **fields) -> "Records":
        """Return the records whose fields have these values, such as `where(arm="random")`."""
        return Records(
            record
            for record in self._records
            if all(record.get(name) == value for name, value in fields.items())
        )

    def by(self, *names: str) -> dict:
        """Return the records of each value of a field, or of each tuple of values of several.

        Args:
            *names: of fields that all records have.

        Returns:
            A dict, value -> Records, in the order of the values.

        Raises:
            SettingError: if none is named, a record has no such field, or its values have no order.
        """
        if not names:
            raise SettingError("`names` must be of one field or more, such as by('round').")
        groups = {}
        try:
            for *values, record in zip(*map(self.field, names), self._records, strict=True):
                groups.setdefault(tuple(values) if len(names) > 1 else values[0], []).append(record)
            return {value: Records(groups[value]) for value in sorted(groups)}
        except TypeError as error:  # such as dicts, or None beside text
            fields = ", ".join(f"`{name}`" for name in names)
            raise SettingError(f"Records have no order by {fields}: {error}.") from error

    @property
    def dense(self) -> "Records":
        """Those of the dense network; SettingError if there is none to compare the others with."""
        found = self.where(arm="dense")
        if not found:
            raise SettingError("There is no record of the dense arm to compare the others with.")
        return found

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in the order in which they first come."""
        return self._distinct("seed")

    @property
    def num_seeds(self) -> int:
        """How many seeds there are."""
        return len(self.seeds)

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms, in the order in which they first come."""
        return self._distinct("arm")

    @property
    def rounds(self) -> tuple[int, ...]:
        """The rounds, in rising order; 0 is the dense one."""
        return tuple(sorted(self._distinct("round")))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics; a training that collapsed may have none."""
        return next((tuple(r["metrics"]) for r in self._records if r["metrics"]), ())

    def _distinct(self, name):
        return tuple(dict.fromkeys(self.field(name)))

    def field(self, name: str) -> list:
        """Return a field of all records, such as `weight_sparsity`.

        Args:
            name: its key in each record.

        Raises:
            SettingError: if a record has no such field; the message says which it has.
        """
        return [_known(record, name, "field") for record in self._records]

    def values(self, metric: str, of: str = "metrics") -> list[float]:
        """Return a metric of all records that have metrics; of others nothing is known.

        Args:
            metric: its name.
            of: a field that holds a number for each metric: "metrics", "test_metrics", or of
                trainings that were evaluated on their way "best". It is empty in records of
                trainings that collapsed before their end, or were not begun.

        Raises:
            SettingError: if a record has no such metric; the message says which it has.
        """
        found = [numbers for numbers in self.field(of) if numbers]
        if not all(isinstance(numbers, Mapping) for numbers in found):
            raise SettingError(f"`{of}` is no field that holds a number for each metric.")
        return [_known(numbers, metric, "metric") for numbers in found]

    def mean(self, metric: str, of: str = "metrics") -> float:
        """Return the mean of a metric.

        Args:
            metric: its name.
            of: as `values` takes it.

        Raises:
            SettingError: if there is no record, or one without the metric.
        """
        return mean(self.values(metric, of))

    def deviation(self, metric: str, of: str = "metrics") -> float | None:
        """Return the standard deviation (n - 1) of a metric, or None of fewer than two records.

        Args:
            metric: its name.
            of: as `values` takes it.

        Raises:
            SettingError: if a record has no such metric.
        """
        return deviation(self.values(metric, of))


def _known(values, name, kind):
    if name not in values:
        raise SettingError(f"There is no {kind} {name!r}. Choose one of: {', '.join(values)}.")
    return values[name]


def read_results(path) -> Records:
    """Return the records of a results.jsonl, in its order.

    Args:
        path: the file. If the stages of the run are beside it, each line is compared with its own.

    Raises:
        FileError: if the file is missing, a line is no record, is not what its stage says, or is
            missing; the message names it.
    """
    path = as_path(path)
    try:
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise FileError(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is damaged: a line of it is no JSON. {_MEND}") from error
    if not all(map(is_record, records)) or len(set(map(key_of, records))) < len(records):
        raise FileError(f"{path} is damaged: a line of it is no record, or is there twice. {_MEND}")
    # As text, in which NaN equals itself.
    of_stages = {as_line(record) for record in read_records(path.parent)}
    lines = {as_line(record) for record in records}
    if of_stages and not lines <= of_stages:
        raise FileError(f"{path} is damaged: a line of it is not what its stage says. {_MEND}")
    if not of_stages <= lines:
        raise FileError(f"{path} is damaged: it lacks a stage that is done. {_MEND}")
    return Records(records)
