"""Settings of a program: read from the environment, refused by name, listed."""

from dataclasses import dataclass

import pytest

from charging.service.settings import LOG_LEVELS, SettingError, SettingsReader, setting


@dataclass(frozen=True, slots=True)
class Example:
    """Settings of no program."""

    port: int = setting(1, "port")
    pause: float = setting(8, "seconds", 0.5)
    loud: bool = setting(False, "whether")
    name: str = setting("", "name")
    log_level: str = setting("INFO", "level", choices=LOG_LEVELS)


READER = SettingsReader(Example, "EXAMPLE_", "example")


def read(**environment):
    return READER.read({f"EXAMPLE_{name.upper()}": text for name, text in environment.items()}, {})


def test_defaults_environment_and_command_line_in_this_order():
    environment = {"EXAMPLE_PORT": "2", "EXAMPLE_NAME": "x", "OTHER": "y"}
    assert READER.read({}, {}) == Example()
    assert READER.read(environment, {}) == Example(port=2, name="x")
    assert READER.read(environment, {"port": 3, "name": None}) == Example(port=3, name="x")


def test_words_of_truth_are_read_as_what_they_mean():
    for text in ("true", "Yes", "1", "ON"):
        assert read(loud=text).loud is True
    for text in ("false", "no", "0", "off", ""):
        assert read(loud=text).loud is False


def test_an_annotation_says_more_than_a_default():
    assert read(pause="2.5").pause == 2.5


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("prot", "1", "no such setting; `python -m example --help` lists them"),
        ("port", "x", "must be a whole number"),
        ("port", "2.5", "must be a whole number"),
        ("port", "-1", "must be at least 0"),
        ("pause", "0.4", "must be at least 0.5"),
        ("pause", "nan", "must be a finite number"),
        ("pause", "inf", "must be a finite number"),
        ("loud", "perhaps", "must be true or false"),
        ("log_level", "LOUD", "must be one of DEBUG, INFO, WARNING, ERROR"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(name, text, complaint):
    with pytest.raises(SettingError, match=f"EXAMPLE_{name.upper()}.*{complaint}"):
        read(**{name: text})


def test_what_the_command_line_says_is_checked_too():
    with pytest.raises(SettingError, match="EXAMPLE_PORT=-1: must be at least 0"):
        READER.read({}, {"port": -1})


def test_the_table_has_each_setting():
    assert READER.table() == [
        ("EXAMPLE_PORT", "1", "port"),
        ("EXAMPLE_PAUSE", "8", "seconds"),
        ("EXAMPLE_LOUD", "false", "whether"),
        ("EXAMPLE_NAME", "", "name"),
        ("EXAMPLE_LOG_LEVEL", "INFO", "level"),
    ]
