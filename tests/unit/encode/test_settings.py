"""What holds for the settings of an encoder."""

import json

import pytest

from ance_plugin.encode.settings import EncoderSettings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pooling": "max"}, "pooling must be one of cls, mean, found 'max'"),
        ({"pooling": None}, "pooling must be one of cls, mean, found None"),
        ({"max_query_tokens": 2}, "max_query_tokens must be at least 3, found 2"),
        ({"max_document_tokens": 0}, "max_document_tokens must be at least 3, found 0"),
        ({"template": "text"}, "template must hold {title} or {text}, found 'text'"),
    ],
)
def test_value_out_of_range_is_refused(values, message):
    """The message has the value and what it may be."""
    with pytest.raises(ValueError, match=message):
        EncoderSettings(**{"pooling": "cls", **values})


def test_three_tokens_are_enough():
    """Two of them are special."""
    settings = EncoderSettings("cls", max_query_tokens=3, max_document_tokens=3)

    assert settings.max_query_tokens == settings.max_document_tokens == 3


@pytest.mark.parametrize(
    ("template", "title", "text", "expected"),
    [
        ("{title} {text}", "Title", "text", "Title text"),
        ("{title} {text}", "", "text", "text"),
        ("{title} {text}", "Title", "", "Title"),
        ("{title} {text}", "", "", ""),
        ("{title} </s> {text}", "Title", "text", "Title </s> text"),
        ("{text}", "Title", "text", "text"),
        ("passage: {text}", "", "text", "passage: text"),
        ("{text} | {title}", "Title", "text", "text | Title"),
        ("{title} {text}", " A title \t", "\ttext  of it\n", "A title text  of it"),
    ],
)
def test_template_joins_title_and_text(template, title, text, expected):
    """White space around title, text and the whole is dropped, none within."""
    assert EncoderSettings("cls", template=template).render(title, text) == expected


@pytest.mark.parametrize(
    ("title", "text", "expected"),
    [
        ("The {text} macro", "its use", "The {text} macro its use"),
        ("Title", "a {title} in braces", "Title a {title} in braces"),
        ("{0} {", "100% %s", "{0} { 100% %s"),
    ],
)
def test_braces_of_a_document_are_its_own(title, text, expected):
    """Only the template's places are filled."""
    assert EncoderSettings("cls").render(title, text) == expected


def test_document_is_lowercased_where_the_settings_say_so():
    """Title, text, and what the template adds."""
    settings = EncoderSettings("cls", is_lowercased=True, template="Doc: {title} {text}")

    assert settings.render("The TITLE", "Älter") == "doc: the title älter"


def test_settings_come_back_from_json():
    """What ``metadata.json`` holds is what made the vectors."""
    settings = EncoderSettings("mean", is_normalized=True, max_query_tokens=32, template="{text}")

    assert EncoderSettings(**json.loads(json.dumps(settings.to_json()))) == settings
