"""A config is plain names and numbers: checked, hashed, pickled, and JSON both ways."""

import json
import math
import pickle
import subprocess
import sys

import pytest

from tf_tickets.errors import FileError, SettingError
from tf_tickets.files import write_sealed_json
from tf_tickets.lab.config import Data, Judging, RunConfig, load_extensions, read_config
from tf_tickets.lab.methods import METHODS, EarlyBird, IterativeMagnitude, Snip
from tf_tickets.lab.models import GanTraining, Training

CONFIGS = [
    RunConfig(),
    RunConfig(
        "sngan",
        IterativeMagnitude(rounds=3, component="generator", retries=2),
        Data("cifar10", limit=512),
        GanTraining(epochs=2, critic_steps=2, discriminator_init="fresh"),
        Judging(metric="fcd", tolerance=0.2, num_samples=1000),
        seeds=(4,),
        arms=("winning", "shuffled"),
    ),
    RunConfig("vae", EarlyBird(channel_sparsity=(0.2, 0.4)), network={"latent_dim": 8}),
    RunConfig("dcgan", Snip(pool="layer"), strategy="mirrored"),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_a_config_goes_through_json_and_pickle_unchanged(config):
    content = json.loads(json.dumps(config.to_dict()))
    assert RunConfig.from_dict(content) == config
    assert pickle.loads(pickle.dumps(config)) == config
    assert content["method"]["name"] == config.method.name


def test_a_config_loads_no_tensorflow():
    code = (
        "import sys, pickle; from tf_tickets.lab.config import RunConfig; "
        "config = pickle.loads(pickle.dumps(RunConfig(model='sngan'))); "
        "print(sorted({'tensorflow', 'keras', 'matplotlib', 'rich'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_what_is_not_given_comes_from_the_family_and_the_method():
    assert RunConfig().training == Training() and RunConfig().seeds == (0, 1, 2, 3, 4)
    assert isinstance(RunConfig("dcgan").training, GanTraining)
    assert RunConfig(arms=("random", "winning")).arms == ("winning", "random"), "in one order"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "gan"}, "Unknown model 'gan'"),
        ({"data": Data("faces")}, "`dataset` must be one of "),
        ({"judging": Judging("beauty")}, "`metric` must be one of "),
        ({"method": "imp"}, "`method` must be Method. Received: method='imp'"),
        ({"seeds": (1, 1)}, "`seeds` must be different"),
        ({"seeds": (-1,)}, "`seeds` must be at least 0"),
        ({"arms": ("random",)}, "`arms` must include winning"),
        ({"arms": ("winning", "lucky")}, "`arms` must be one of winning"),
        ({"method": EarlyBird(), "arms": ("winning", "shuffled")}, "among winning, random"),
        ({"method": IterativeMagnitude(component="generator")}, "all, encoder or decoder"),
        ({"method": IterativeMagnitude(component="encoder", pool="component")}, "model or layer"),
        ({"model": "dcgan", "training": Training()}, "must be a GanTraining"),
        ({"training": GanTraining(critic_steps=2)}, "`critic_steps` must not be given for vae"),
        (
            {
                "model": "dcgan",
                "method": IterativeMagnitude(component="discriminator"),
                "training": GanTraining(discriminator_init="fresh"),
            },
            "`discriminator_init` must be rewind or trained",
        ),
        (
            {
                "model": "dcgan",
                "training": GanTraining(discriminator_init="trained"),
                "arms": ("winning", "shuffled"),
            },
            "cannot have shuffled if `discriminator_init` is trained",
        ),
        (
            {
                "model": "dcgan",
                "method": Snip(),
                "training": GanTraining(discriminator_init="fresh"),
            },
            "`discriminator_init` is for the method imp",
        ),
        (
            {"model": "wgan", "training": GanTraining(distill_discriminator=True)},
            "`distill_discriminator` needs a discriminator that outputs probabilities",
        ),
    ],
)
def test_two_values_that_do_not_fit_are_refused_by_the_name_of_one(options, message):
    with pytest.raises(SettingError, match=message):
        RunConfig(**options)


def test_both_is_another_word_for_all_components():
    assert IterativeMagnitude(component="both") == IterativeMagnitude()


@pytest.mark.parametrize("name", METHODS)
def test_each_method_has_what_tables_and_parsers_ask_for(name):
    card = METHODS[name]
    assert card.title and card.color.startswith("#") and card.marker
    assert "winning" in card.arms


def test_what_is_unknown_in_json_is_refused_by_name():
    content = RunConfig().to_dict()
    with pytest.raises(SettingError, match="`speed` is not an option of Data"):
        RunConfig.from_dict({**content, "data": {"speed": 3}})
    with pytest.raises(SettingError, match="`colour` is not an option of RunConfig"):
        RunConfig.from_dict({**content, "colour": "red"})
    with pytest.raises(SettingError, match="`data` must be a mapping from options to values"):
        RunConfig.from_dict({**content, "data": "digits"})
    with pytest.raises(SettingError, match="`method` must be a mapping"):
        RunConfig.from_dict({**content, "method": "imp"})
    assert RunConfig.from_dict({"method": {"rounds": 3}}).method == IterativeMagnitude(rounds=3)


def test_a_config_is_read_from_its_file(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"config": CONFIGS[1].to_dict(), "metric": "fcd"}))
    assert read_config(path) == read_config(tmp_path) == CONFIGS[1]
    (tmp_path / "plain.json").write_text(json.dumps(CONFIGS[2].to_dict()))
    assert read_config(tmp_path / "plain.json") == CONFIGS[2]
    with pytest.raises(FileError, match="Cannot read"):
        read_config(tmp_path / "absent.json")
    for broken in ("[", "[]", "3", "[" * 100_000, '{"extensions": 3}', '{"extensions": [[]]}'):
        (tmp_path / "broken.json").write_text(broken)
        with pytest.raises(FileError, match=r"broken\.json is not the JSON of a run's config"):
            read_config(tmp_path / "broken.json")


def test_a_sealed_config_that_was_changed_is_named_and_one_without_its_seal_is_read(tmp_path):
    path = tmp_path / "config.json"
    write_sealed_json(path, {"config": CONFIGS[2].to_dict()})
    assert read_config(path) == CONFIGS[2]
    content = json.loads(path.read_text())
    content["config"]["seeds"] = [7]
    path.write_text(json.dumps(content))
    with pytest.raises(FileError, match=r"config\.json is damaged.* Leave sha256 out of a copy"):
        read_config(path)
    del content["sha256"]
    path.write_text(json.dumps(content))
    assert read_config(path).seeds == (7,)


NONSENSE = (None, True, -1, 10**30, 0.5, math.inf, math.nan)
NONSENSE += ("x", "a\nb", "\udcff", [], [[]], {}, [0, 0])


def places(content, path=()):
    """Yield the path of every value in JSON."""
    for key in content if isinstance(content, dict) else range(len(content)):
        yield (*path, key)
        if isinstance(content[key], dict | list):
            yield from places(content[key], (*path, key))


@pytest.mark.parametrize(
    "config", [CONFIGS[1], *(pytest.param(each, marks=pytest.mark.slow) for each in CONFIGS)]
)
def test_nonsense_anywhere_in_a_config_is_taken_or_one_line(config, tmp_path):
    path = tmp_path / "config.json"
    for *within, key in places(config.to_dict()):
        for nonsense in NONSENSE:
            content = config.to_dict()
            place = content
            for each in within:
                place = place[each]
            place[key] = nonsense
            path.write_text(json.dumps(content))
            try:
                read_config(path)
            except (FileError, SettingError) as error:
                assert "\n" not in str(error), (within, key, nonsense)


def test_an_extension_is_run_once_and_one_that_fails_is_named(tmp_path):
    good = tmp_path / "good.py"
    good.write_text(
        "import tf_tickets as tt\n"
        "tt.lab.register(tt.lab.Metric('runs', 'Runs', 'runs', True, lambda evidence: 1.0))\n"
    )
    load_extensions([str(good)])
    load_extensions([str(good)])  # a second registration would be refused
    with pytest.raises(FileError, match=r"no Python file .*absent\.py"):
        load_extensions([str(tmp_path / "absent.py")])
    (tmp_path / "bad.py").write_text("import nothing_of_this_name")
    with pytest.raises(FileError, match=r"bad\.py failed: ModuleNotFoundError: No module"):
        load_extensions([str(tmp_path / "bad.py")])


def test_what_an_extension_defines_goes_to_another_process(tmp_path):
    made = """if True:
        import pickle, sys
        from tf_tickets.lab.config import RunConfig, load_extensions
        from tf_tickets.lab.methods import METHODS
        load_extensions([sys.argv[1]])
        method = METHODS["mine"](rounds=3)
        pickled = pickle.dumps(RunConfig(method=method, extensions=(sys.argv[1],)))
        open(sys.argv[2], "wb").write(pickled)
    """
    read = """if True:
        import pickle, sys
        config = pickle.load(open(sys.argv[2], "rb"))
        print(config.method, config.extensions == (sys.argv[1],))
    """
    extension = tmp_path / "mine.py"
    extension.write_text(
        "import tf_tickets as tt\n\n\n"
        "@tt.lab.register\n"
        "class Mine(tt.lab.AtInitialization):\n"
        "    name, title = 'mine', 'Mine'\n"
    )
    for code in (made, read):
        command = [sys.executable, "-c", code, str(extension), str(tmp_path / "config")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Mine(") and done.stdout.endswith("True\n")
    assert "rounds=3" in done.stdout
