"""The options of the commands: those of a RunConfig, and where a result goes."""

import argparse
import dataclasses
from collections.abc import Sequence

from tf_tickets.errors import SettingError
from tf_tickets.lab.commands.parser import Parser, has_option, value_of
from tf_tickets.lab.config import Data, Judging, RunConfig, load_extensions, read_config
from tf_tickets.lab.engine_options import EngineOptions
from tf_tickets.lab.methods import METHODS, Method
from tf_tickets.lab.models import MODELS
from tf_tickets.lab.options import Options, carried, option


@dataclasses.dataclass(frozen=True)
class Output(Options):
    """Where a result goes."""

    output: str = option("saved_models", "where the run folder is made")
    json: bool = option(False, "end with one line of JSON on stdout")


class RunParser:
    """Reads the command line of a run: only the options of the chosen model and method.

    Args:
        words: of the command line.
        description: one line for `--help`.
        output: the dataclass of options that are not of the run.
        method: the method, with the defaults of its options; None to let `--method` choose.
        model_flag: what the model is called, and its default.
        leave_out: fields of RunConfig and of the method that are not offered.
    """

    def __init__(
        self,
        words: Sequence[str],
        description: str,
        output: type = Output,
        method: Method | None = None,
        model_flag: tuple[str, str | None] = ("--model", "vae"),
        leave_out: Sequence[str] = (),
    ):
        self._words = list(words)
        self._parser = Parser(description)
        self._model_flag = model_flag[0]
        self._fixed_method = method
        try:
            load_extensions(_values_of(words, "--extension"))
            self._base = self._read_base()
            self._model = value_of(words, model_flag[0], self._base and self._base.model)
            self._model = self._model or model_flag[1]
            self._method = self._method_name()
            self._add_groups(output, model_flag, leave_out)
        except SettingError as error:
            self._parser.refuse(error)

    def _read_base(self):
        path = value_of(self._words, "--config", None)
        return None if path is None else read_config(path)

    def _method_name(self):
        if self._fixed_method is not None:
            return self._fixed_method.name
        name = "imp" if self._base is None else self._base.method.name
        if not METHODS[name].in_find:
            raise SettingError(
                f"`config` must be of a run of find_tickets.py. Received: {name}, a method of "
                "another command"
            )
        return value_of(self._words, "--method", name)

    def _add_groups(self, output, model_flag, leave_out):
        add, base = self._parser.add_options, self._base
        self._add_search(model_flag)
        if self._model in MODELS and self._method in METHODS:
            kind = METHODS[self._method]
            choices = {"arms": kind.arms}
            add("run", RunConfig, self._run_values(kind), ("model", *leave_out), choices)
            add(f"method {self._method}", kind, self._method_values(), leave_out)
            add("data", Data, base and base.data)
            kind = MODELS[self._model].family.training
            add("training", kind, base and carried(kind, base.training))
            add("judging", Judging, base and base.judging)
        add("engine", EngineOptions)
        add("output", output)

    def _run_values(self, method):
        """Return the config that is repeated, without arms that another method does not have."""
        if self._base is None:
            return None
        arms = tuple(name for name in self._base.arms if name in method.arms)
        return dataclasses.replace(self._base, arms=arms)

    def _method_values(self):
        of_base = None if self._base is None else self._base.method
        if of_base is None or (self._fixed_method and of_base.name != self._method):
            return self._fixed_method
        return carried(METHODS[self._method], of_base)

    def _add_search(self, model_flag):
        search = self._parser.add_argument_group("search")
        search.add_argument(
            model_flag[0],
            dest="model",
            choices=list(MODELS),
            default=self._model,
            help=f"the model (default: {model_flag[1]})" if model_flag[1] else "the model",
        )
        if self._fixed_method is None:
            offered = [name for name, card in METHODS.items() if card.in_find]
            titles = "; ".join(f"{name}: {METHODS[name].title}" for name in offered)
            search.add_argument(
                "--method",
                choices=offered,
                default=self._method,
                help=f"what a round prunes. {titles} (default: imp)".replace("%", "%%"),
            )
        search.add_argument("--config", help="repeat the run of this folder or file of a config")
        search.add_argument(
            "--extension", nargs="+", help="Python files with cards of your own", default=()
        )

    def parse(self) -> tuple[RunConfig, argparse.Namespace]:
        """Return the config, and all arguments, among which are those that are not of the run.

        Raises:
            SystemExit: with status 2 and one line on stderr, if something cannot work.
        """
        parser = self._parser
        arguments, unknown = parser.parse_known_args(self._words)
        if arguments.model is None:
            parser.error(f"argument {self._model_flag} is required")
        if unknown:
            parser.error(self._whose(unknown[0]))
        groups = {
            "method": parser.made(f"method {self._method}", arguments),
            "data": parser.made("data", arguments),
            "training": parser.made("training", arguments),
            "judging": parser.made("judging", arguments),
        }
        extensions = tuple(arguments.extension) or (self._base.extensions if self._base else ())
        others = {"model": arguments.model, "extensions": extensions, **groups}
        return parser.made("run", arguments, **others), arguments

    def output(self, arguments: argparse.Namespace):
        """Return the options that are not of the run."""
        return self._parser.made("output", arguments)

    def engine(self, arguments: argparse.Namespace, config: RunConfig) -> EngineOptions:
        """Return where the trainings of a config are made.

        Raises:
            SystemExit: as `parse` does.
        """
        options = self._parser.made("engine", arguments)
        try:
            return options.resolved(config.strategy)
        except SettingError as error:
            self._parser.refuse(error)

    def _whose(self, word) -> str:
        """Return what is wrong with a word that is not understood: whose option it is, if any's."""
        flag = word.split("=")[0]
        methods = [
            name for name, card in METHODS.items() if card.in_find and has_option(card, flag)
        ]
        if methods and self._fixed_method is None:
            return f"{flag} is an option of --method {_either(methods)}"
        models = [name for name, card in MODELS.items() if has_option(card.family.training, flag)]
        if models:
            return f"{flag} is an option of {self._model_flag} {_either(models)}"
        return f"unrecognized arguments: {word}"


def _values_of(words, flag) -> list[str]:
    """Return the values of a flag that takes several, before anything else is understood."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument(flag, dest="values", nargs="*", default=[])
    return first.parse_known_args(words)[0].values


def _either(names):
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
