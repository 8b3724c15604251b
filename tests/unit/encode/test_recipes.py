"""Recipes name the text treatment of Pyserini's prebuilt indexes; what is given beside wins."""

import pytest

from ance_plugin.cli.encode import new_encode_parser
from ance_plugin.cli.flags import read_overrides
from ance_plugin.encode.checkpoint import load_checkpoint
from ance_plugin.encode.recipes import RECIPES, expand_recipe
from ance_plugin.encode.settings import EncoderSettings


def settings_of(recipe, **given):
    return EncoderSettings(**{"pooling": "cls", **expand_recipe({"recipe": recipe, **given})})


def test_passages_are_lower_cased_lines_joined():
    """As the script that made msmarco-v1-passage.ance: contents stripped, line breaks to spaces."""
    settings = settings_of("ance-msmarco-passage")

    assert settings.render("", " First LINE\nSecond\n") == "first line second"
    assert (settings.max_query_tokens, settings.max_document_tokens) == (64, 512)


@pytest.mark.parametrize("recipe", ["ance-msmarco-doc-firstp", "ance-msmarco-doc-maxp"])
def test_documents_are_joined_by_the_separator_as_text(recipe):
    """URL, title and text are joined by a literal ``<sep>``, which RoBERTa has no token for."""
    settings = settings_of(recipe)

    rendered = settings.render("", "http://A.b\nA Title\nThe text")

    assert rendered == "http://a.b <sep> a title <sep> the text"
    assert settings.render("A Title", "The text") == "a title <sep> the text"


def test_wikipedia_is_a_pair_without_its_quotes():
    """As the script that made wikipedia-dpr-100w.ance-multi: TSV's quotes are undone."""
    settings = settings_of("ance-dpr")

    pair = settings.render_pair("", '"Aaron"\nAaron ( or ; ""Ahärôn"") is')

    assert pair == ("Aaron", 'Aaron ( or ; "Ahärôn") is')
    assert settings.max_document_tokens == 256


def test_plain_leaves_texts_as_they_are():
    """It undoes the lower-casing that ANCE's layouts come with."""
    settings = settings_of("plain")

    assert settings.render("The Title", "a\nB") == "The Title a\nB"


def test_what_is_given_beside_a_recipe_wins():
    """As stock ``pyserini.encode``: cased, 256 tokens."""
    settings = settings_of("ance-msmarco-passage", is_lowercased=False, max_document_tokens=256)

    assert settings.render("", "First") == "First"
    assert settings.max_document_tokens == 256


def test_the_recipe_is_recorded_and_expanded(make_ance):
    """Overrides keep the name, settings and identity have what it stands for."""
    folder = make_ance()

    checkpoint = load_checkpoint(str(folder), recipe="ance-msmarco-doc-maxp")

    assert checkpoint.overrides == {"recipe": "ance-msmarco-doc-maxp"}
    assert checkpoint.identify()["replacements"] == [["document", "\n", " <sep> "]]
    again = load_checkpoint(str(folder), **checkpoint.overrides)
    assert again.identify() == checkpoint.identify()


def test_the_recipe_for_passages_agrees_with_the_checkpoint_itself():
    """Without line breaks in them, it is what an ANCE checkpoint does without being told."""
    own = EncoderSettings(pooling="cls", is_lowercased=True)

    for title, text in (("", "Some Text"), ("Title", "Some Text")):
        assert settings_of("ance-msmarco-passage").render(title, text) == own.render(title, text)


def test_the_flag_names_every_recipe():
    """``--recipe`` goes with the settings that are given."""
    words = ["--collection", "c", "--encoder", "e", "--output", "o"]
    parser = new_encode_parser()

    for recipe in RECIPES:
        assert read_overrides(parser.parse_args([*words, "--recipe", recipe])) == {"recipe": recipe}
    given = parser.parse_args([*words, "--recipe", "plain", "--max-length", "256", "--lowercase"])
    expected = {"recipe": "plain", "max_document_tokens": 256, "is_lowercased": True}
    assert read_overrides(given) == expected


def test_an_unknown_recipe_is_refused():
    """The message lists those that there are."""
    with pytest.raises(ValueError, match=r"recipe must be one of ance-msmarco-passage, .*'splade'"):
        expand_recipe({"recipe": "splade"})


def test_a_replacement_in_an_unknown_place_is_refused():
    """Places are title, text and the joined document."""
    with pytest.raises(ValueError, match="made in title, text, document, found 'body'"):
        EncoderSettings(pooling="cls", replacements=(("body", "a", "b"),))


def test_settings_that_nobody_set_are_not_written():
    """Metadata of before they existed stays comparable, and lists come back as they went."""
    plain = EncoderSettings(pooling="cls")
    assert not {"is_document_pair", "replacements"} & plain.to_json().keys()

    pair = settings_of("ance-dpr")

    assert EncoderSettings(**pair.to_json()) == pair
