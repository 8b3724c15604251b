"""Recipes: those that come along are valid, and a mistake in one's own is named."""

import pytest

from ance_plugin.cli.run import UsageError
from ance_plugin.cli.train import _read_settings, new_train_parser
from ance_plugin.cli.train_flags import FLAGS, read_mix
from ance_plugin.errors import FormatError
from ance_plugin.train.recipe import GROUPS, RECIPES_DIR, read_recipe
from ance_plugin.train.settings import Optimization

NAMES = sorted(path.stem for path in RECIPES_DIR.glob("*.toml"))
DATA = ["--output", "O", "--collection", "C", "--topics", "T", "--qrels", "Q", "--init", "E"]


def read(stage, *words):
    """Resolve a command's flags to settings."""
    args = new_train_parser().parse_args([stage, *DATA, *words])
    warmup = {"negatives": {"mix": {"bm25": 1.0}}, "refresh": {"mode": "sync"}}
    return _read_settings(args, warmup if stage == "warmup" else {})


@pytest.mark.parametrize("name", NAMES)
def test_recipes_that_come_along_are_valid(name):
    """For the command they are for: what is called warmup is for that."""
    stage = "warmup" if "warmup" in name else "ance"
    source = ["--triples", "F"] if stage == "warmup" else []

    settings = read(stage, "--recipe", name, *source)

    recipe = read_recipe(name)
    assert recipe
    for group, values in recipe.items():
        for field, value in values.items():
            assert getattr(getattr(settings, group), field) == value


def test_flags_win_over_the_recipe():
    """And the recipe over the default; overrides are taken one by one."""
    settings = read("ance", "--recipe", "paper", "--max-length", "99", "--learning-rate", "0.5")

    assert settings.optimization.learning_rate == 0.5
    assert settings.optimization.optimizer == "lamb"
    assert settings.optimization.schedule == Optimization().schedule
    overrides = {"pooling": "cls", "max_query_tokens": 64, "max_document_tokens": 99}
    assert settings.start.overrides == overrides


def test_recipe_of_ones_own(tmp_path):
    """A file gives what it says."""
    path = tmp_path / "mine.toml"
    path.write_text("[optimization]\nlearning_rate = 1\n[negatives.mix]\nann = 1\nrandom = 0.5\n")

    found = read_recipe(str(path))

    assert found["optimization"] == {"learning_rate": 1}
    assert found["negatives"] == {"mix": {"ann": 1, "random": 0.5}}


def test_there_is_no_such_recipe(tmp_path):
    """The message lists those that there are."""
    with pytest.raises(
        FileNotFoundError, match=r"nonsense: there is no such recipe; .*paper-warmup"
    ):
        read_recipe("nonsense")
    with pytest.raises(FileNotFoundError, match=r"mine\.toml: there is no such recipe"):
        read_recipe(str(tmp_path / "mine.toml"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[optimization", "is not valid TOML"),
        ("[data]\ntopics = 'x'\n", r"\[data\] is unknown; there are start, optimization"),
        ("optimization = 3\n", r"\[optimization\] is unknown"),
        ("[optimization]\nsteps = 3\n", r"\[optimization\] has no steps"),
        ("[start]\ninit = 'E'\n", r"\[start\] has no init"),
        ("[start.overrides]\nlength = 3\n", r"\[start\.overrides\] has no length"),
        ("[start.overrides]\npooling = 3\n", "pooling must be one of cls, mean, found 3"),
        (
            "[start]\noverrides = 3\n",
            r"\[start\] overrides must be a table, found 3",
        ),
        (
            "[optimization]\nnum_steps = 'many'\n",
            r"\[optimization\] num_steps must be a whole number, found 'many'",
        ),
        ("[optimization]\nbatch_size = 8.5\n", "batch_size must be a whole number, found 8.5"),
        ("[optimization]\nbatch_size = true\n", "batch_size must be a whole number, found True"),
        ("[optimization]\ngrad_cache = 1\n", "grad_cache must be true or false, found 1"),
        ("[optimization]\ntemperature = '1'\n", "temperature must be a number, found '1'"),
        ("[optimization]\nloss = 1\n", "loss must be a text, found 1"),
        ("[start]\nmaxp = 1\n", "maxp must be one of chunks, found 1"),
        ("[negatives]\nmix = 'ann'\n", "mix must be a table of numbers, found 'ann'"),
        ("[negatives.mix]\nann = 'all'\n", "mix must be a table of numbers, found"),
        ("[start.overrides]\nreplacements = 'x'\n", "replacements must be a list, found 'x'"),
    ],
)
def test_mistake_in_a_recipe_is_named(tmp_path, text, found):
    """With the file, the table and the value."""
    path = tmp_path / "mine.toml"
    path.write_text(text)

    with pytest.raises(FormatError, match=rf"mine\.toml: .*{found}"):
        read_recipe(str(path))


@pytest.mark.parametrize("group", FLAGS)
def test_flags_set_fields_that_exist(group):
    """Each flag one of its group, and no two the same."""
    flags = FLAGS[group]
    names = [flag.field for flag in flags]

    assert set(names) <= set(GROUPS[group].__dataclass_fields__)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("stage", "renamed"), [("ance", {}), ("warmup", {"refresh-steps": "dev-steps"})]
)
def test_help_shows_the_default_that_holds(stage, renamed):
    """Where a flag is not given, its field has what the help says."""
    settings = read(stage, *(["--triples", "F"] if stage == "warmup" else []))
    parser = new_train_parser()._subparsers._group_actions[0].choices[stage]
    helps = {word: action.help for action in parser._actions for word in action.option_strings}
    shown = 0
    for group, flags in FLAGS.items():
        for flag in flags:
            text = helps.get(f"--{renamed.get(flag.name, flag.name)}")
            default = getattr(getattr(settings, group), flag.field)
            if text is None or flag.kind is None:
                assert default is False or text is None
                continue
            shown += 1
            assert "(default: " in text, flag.name
            if default is not None:
                assert text.endswith(f"(default: {default})"), flag.name
    assert shown > 20


def test_mix_is_read_from_words():
    """A source alone has a share of one."""
    assert read_mix(["ann=1", "bm25=0.5", "random"]) == {"ann": 1.0, "bm25": 0.5, "random": 1.0}


@pytest.mark.parametrize("word", ["ann=", "=1", "ann=x", "ann=-1", "ann=nan", "in-batch=inf", ""])
def test_word_that_is_no_share(word):
    """It is quoted."""
    with pytest.raises(UsageError, match=f"found '{word}'"):
        read_mix(["bm25=1", word])


def test_source_named_twice():
    """Which of the shares is meant cannot be known."""
    with pytest.raises(UsageError, match="found 'ann=2'"):
        read_mix(["ann=1", "ann=2"])


def test_in_batch_is_a_weight_of_the_loss():
    """It stands in the mix for who types it, and changes no share."""
    settings = read("ance", "--mix", "in-batch=0.5")

    assert settings.optimization.in_batch_weight == 0.5
    assert dict(settings.negatives.mix) == {"ann": 1.0}


def test_no_own_negatives_need_none_mined():
    """In-batch negatives alone: a warm-up needs no BM25 for them; a mix that is given stays."""
    settings = read("warmup", "--negatives-per-topic", "0")
    assert dict(settings.negatives.mix) == {"random": 1.0}
    assert settings.optimization.in_batch_weight == 1.0

    mixed = read("ance", "--negatives-per-topic", "0", "--mix", "ann=1", "in-batch=0.5")
    assert dict(mixed.negatives.mix) == {"ann": 1.0}
