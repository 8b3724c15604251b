"""The table of negatives on disk: what goes in comes out, and nothing else is taken for one."""

import math

import pytest

from ance_plugin import artifacts
from ance_plugin.errors import ArtifactError, FormatError
from ance_plugin.train.negatives.table import (
    TABLE,
    TopicNegatives,
    read_negatives,
    write_negatives,
    write_table,
)

FULL = TopicNegatives(
    qid="7",
    positives=("p1", "p2"),
    positive_scores=(1.5, None),
    negatives=("n1", "dök ✓", "n3"),
    scores=(2.5, -1.0, None),
    ranks=(1, 200, None),
    sources=("ann", "bm25", "random"),
    teacher_scores=(0.5, -3.0, -8.25),
    positive_teacher_scores=(4.0, 3.5),
    num_dropped={"positive": 2, "cross-encoder": 1},
    round=3,
    step=5_000_000_000,
)
BARE = TopicNegatives(
    qid="frage-ß",
    positives=("p1",),
    positive_scores=(None,),
    negatives=(),
    scores=(),
    ranks=(),
    sources=(),
)


def new_row(number, **changes):
    """A row with one negative."""
    values = {
        "positives": ("p",),
        "positive_scores": (None,),
        "negatives": (f"n{number}",),
        "scores": (float(number),),
        "ranks": (number + 1,),
        "sources": ("ann",),
    }
    return TopicNegatives(qid=f"q{number}", **{**values, **changes})


def flip(content, place):
    """Change one bit of a byte."""
    return content[:place] + bytes([content[place] ^ 0x20]) + content[place + 1 :]


@pytest.fixture
def table(tmp_path):
    """Path of a bare file with two rows."""
    write_table(tmp_path, [FULL, BARE])
    return tmp_path / TABLE


class TestRoundTrip:
    def test_rows_come_back(self, table):
        """Without scores, without a teacher, with ids beyond ASCII; in order and by topic."""
        negatives = read_negatives(table)

        assert list(negatives) == [FULL, BARE]
        assert negatives.qids == ["7", "frage-ß"]
        assert len(negatives) == 2
        assert negatives.by_qid("frage-ß") == BARE
        assert negatives.by_qid("7") == FULL
        assert "7" in negatives
        assert 7 not in negatives
        with pytest.raises(KeyError):
            negatives.by_qid("8")

    def test_many_batches_come_back(self, tmp_path):
        """The first and the last row of each are where they should be."""
        rows = [new_row(number) for number in range(9000)]

        summary = write_table(tmp_path, iter(rows))

        negatives = read_negatives(tmp_path / TABLE)
        assert list(negatives) == rows
        for number in (0, 4095, 4096, 8191, 8192, 8999):
            assert negatives.by_qid(f"q{number}") == rows[number]
        assert summary == {
            "num_topics": 9000,
            "num_negatives": {"ann": 9000},
            "num_dropped": {},
        }

    def test_nan_is_unknown(self, tmp_path):
        """It comes back as None, and a reason that dropped nothing not at all."""
        row = new_row(1, scores=(math.nan,), num_dropped={"margin": 0, "absent": 1})
        write_table(tmp_path, [row])

        (found,) = read_negatives(tmp_path / TABLE)

        assert found.scores == (None,)
        assert found.num_dropped == {"absent": 1}

    def test_any_tool_reads_it(self, table):
        """Plain pandas sees one row a topic, with lists and a record of counts."""
        import pandas as pd

        frame = pd.read_parquet(table)

        assert frame["qid"].tolist() == ["7", "frage-ß"]
        assert frame["negatives"][0].tolist() == ["n1", "dök ✓", "n3"]
        assert frame["teacher_scores"][1] is None
        assert frame["num_dropped"][0]["cross-encoder"] == 1
        assert frame["step"].tolist() == [5_000_000_000, 0]

    def test_a_table_that_another_tool_wrote_is_read(self, table):
        """In other groups of rows, with wider types and more columns."""
        import pandas as pd

        frame = pd.read_parquet(table).assign(note="mine")
        frame.to_parquet(table, row_group_size=1)

        assert list(read_negatives(table)) == [FULL, BARE]


class TestArtifacts:
    def test_an_artifact_says_how_it_was_made(self, tmp_path):
        """Metadata hold provenance and what is in the table; the directory is whole."""
        write_negatives(tmp_path / "negatives", [FULL, BARE], {"seed": 4})

        negatives = read_negatives(tmp_path / "negatives")

        assert list(negatives) == [FULL, BARE]
        assert negatives.metadata["seed"] == 4
        assert negatives.metadata["num_topics"] == 2
        assert negatives.metadata["num_negatives"] == {"ann": 1, "bm25": 1, "random": 1}
        assert negatives.metadata["num_dropped"] == {"positive": 2, "cross-encoder": 1}
        assert artifacts.verify(tmp_path / "negatives", "negatives")

    def test_a_refresh_that_mined_is_read(self, tmp_path):
        """One that did not is told apart."""
        for name, rows in (("mined", [FULL]), ("not", None)):
            with artifacts.new_directory(tmp_path / name) as staging:
                if rows:
                    write_table(staging, rows)
                artifacts.seal(staging, "refresh", {"step": 1})

        assert list(read_negatives(tmp_path / "mined")) == [FULL]
        assert read_negatives(tmp_path / "mined").metadata["step"] == 1
        with pytest.raises(ArtifactError, match=r"not: is a refresh that holds no negatives\.par"):
            read_negatives(tmp_path / "not")

    def test_one_that_stands_is_not_replaced_unasked(self, tmp_path):
        """With overwrite it is."""
        write_negatives(tmp_path / "negatives", [FULL], {})

        with pytest.raises(ArtifactError, match="exists already"):
            write_negatives(tmp_path / "negatives", [BARE], {})
        write_negatives(tmp_path / "negatives", [BARE], {}, overwrite=True)

        assert list(read_negatives(tmp_path / "negatives")) == [BARE]

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([], "there are no topics to write"),
            ([FULL, BARE, FULL], "topic 7 has two rows of negatives, expected one"),
            ([new_row(1, num_dropped={"luck": 1})], "num_dropped is for positive,.*found 'luck'"),
        ],
    )
    def test_what_could_not_be_read_is_not_written(self, tmp_path, rows, message):
        """Nothing stays behind."""
        with pytest.raises(ValueError, match=message):
            write_negatives(tmp_path / "negatives", rows, {})

        assert list(tmp_path.iterdir()) == []


class TestDamage:
    def test_what_is_not_there(self, tmp_path):
        """It is said plainly."""
        with pytest.raises(FileNotFoundError, match="expected negatives"):
            read_negatives(tmp_path / "missing")
        with pytest.raises(ArtifactError, match=r"has no metadata\.json; it is not a negatives"):
            read_negatives(tmp_path)

    def test_another_artifact(self, tmp_path):
        """The message has both kinds."""
        with artifacts.new_directory(tmp_path / "index") as staging:
            artifacts.seal(staging, "dense-index", {})

        with pytest.raises(ArtifactError, match="is a dense-index, expected a negatives"):
            read_negatives(tmp_path / "index")

    @pytest.mark.parametrize("content", [b"", b"qid\tpositive\n", b"PAR1" + b"\0" * 64 + b"PAR1"])
    def test_a_file_that_is_no_parquet(self, tmp_path, content):
        """One line, with the path."""
        path = tmp_path / "some.parquet"
        path.write_bytes(content)

        with pytest.raises(FormatError, match=r"some\.parquet: is no table of negatives") as error:
            read_negatives(path)
        assert "\n" not in str(error.value)

    def test_a_table_without_topics(self, table):
        """Somebody filtered it down to nothing."""
        import pandas as pd

        pd.read_parquet(table).iloc[:0].to_parquet(table)

        with pytest.raises(FormatError, match=r"negatives\.parquet: has no topics"):
            read_negatives(table)

    def test_no_damaged_byte_of_an_artifact_goes_unnoticed(self, tmp_path):
        """Wherever one flips."""
        write_negatives(tmp_path / "negatives", [FULL, BARE], {})
        file = tmp_path / "negatives" / TABLE
        content = file.read_bytes()
        for place in range(0, len(content), 97):
            file.write_bytes(flip(content, place))
            with pytest.raises(ArtifactError, match=r"negatives\.parquet: content has changed"):
                read_negatives(tmp_path / "negatives")

    def test_a_damaged_bare_file_ends_in_one_line(self, table):
        """What the pages' checksums and the schema show is an error; no other error comes."""
        content = table.read_bytes()
        messages = []
        for place in range(0, len(content), 17):
            table.write_bytes(flip(content, place))
            try:
                read_negatives(table)
            except FormatError as err:
                messages.append(str(err))

        assert len(messages) > len(content) / 17 / 4
        assert all(str(table) in message and "\n" not in message for message in messages)

    @pytest.mark.parametrize(
        ("column", "values", "message"),
        [
            ("qid", None, "it has no 'qid'"),
            ("qid", ["7", "7"], "topic 7 is there twice"),
            ("qid", ["7", None], "no value where 'qid' needs one"),
            ("negatives", [["n1", None, "n3"], []], "no value where 'negatives' needs one"),
            ("ranks", [[1, 2], []], "'ranks' does not have a value for each of 'negatives'"),
            ("teacher_scores", [[1.0], None], "'teacher_scores' does not have a value for each"),
            ("round", ["first", "second"], "is no table of negatives, or damaged"),
        ],
    )
    def test_a_foreign_table(self, table, column, values, message):
        """Missing columns, missing values and uneven lists are named."""
        import pandas as pd

        frame = pd.read_parquet(table)
        frame = frame.drop(columns=column) if values is None else frame.assign(**{column: values})
        frame.to_parquet(table)

        with pytest.raises(FormatError, match=message) as error:
            read_negatives(table)
        assert str(table) in str(error.value)


@pytest.mark.parametrize(
    ("column", "values"),
    [("scores", (1.0, 2.0)), ("positive_scores", ()), ("teacher_scores", ())],
)
def test_a_row_is_even(column, values):
    """Columns that belong together have equally many values."""
    message = f"topic q1: {len(values)} {column} for 1 "
    with pytest.raises(ValueError, match=message):
        new_row(1, **{column: values})


def test_training_run_is_told_from_its_rounds(tmp_path):
    """The message names a round that can be given instead."""
    (tmp_path / "refreshes" / "step-00000040").mkdir(parents=True)
    (tmp_path / "refreshes" / "step-00000040.vectors").mkdir()

    with pytest.raises(ArtifactError, match=r"name one of them, such as .*/step-00000040$"):
        read_negatives(tmp_path)
