"""Files of separated values, as people have them: what is found in them, and what is said of those that are none."""

import pytest

import quickstudy as qs
from quickstudy.apply.tables.csv_file import read_table

ROWS = 'name,size,seen\n"Wren, tiny",1.5,2024-01-31\nSwift,,2024-02-01\nRook,3e1,\n'


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, **options):
        path = tmp_path / "birds.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_table(path, **options)

    return write_and_read


def test_names_and_cells_as_they_stand(read):
    table = read(ROWS)
    assert {name: column.tolist() for name, column in table.columns.items()} == {
        "name": ["Wren, tiny", "Swift", "Rook"],
        "size": ["1.5", "", "3e1"],
        "seen": ["2024-01-31", "2024-02-01", ""],
    }
    assert table.notes == ("comma between cells, UTF-8, a header",)
    assert len(table) == 3


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_separators_and_encodings_are_found(read, separator, encoding):
    text = "Größe,Art\n1,Spätzle\n2,Weiß\n".replace(",", separator)
    table = read(text.encode(encoding))
    assert [*table.columns] == ["Größe", "Art"]
    assert table.columns["Art"].tolist() == ["Spätzle", "Weiß"]
    assert read(text.replace("\n", "\r\n").encode(encoding)).columns["Art"][1] == "Weiß"


def test_what_is_said_wins(read):
    assert [*read("a;b,c\n1;2,3\n", separator=";").columns] == ["a", "b,c"]
    assert [*read("sep=;\na;b\n1;2\n").columns] == ["a", "b"]  # as Excel has it
    assert read("é\n1\n".encode("cp437"), encoding="cp437").columns["é"].tolist() == ["1"]
    assert [*read("a,b\nc,d\n", header=False).columns] == ["column1", "column2"]
    assert [*read("1,2\n3,4\n", header=True).columns] == ["1", "2"]


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("a,b\n1,x\n2,y\n", True),
        ("1,x\n2,y\n", False),
        ("?,x,1\n3,y,2\n", False),
        ("x,x,o,won\nx,o,x,lost\no,x,x,won\n", False),  # words alone, that come again
        ("left,right\nx,o\no,x\n", True),  # words alone, that come nowhere else
        (",b\n0,x\n1,y\n", True),  # the index of a DataFrame
        ("2019,2020,place\n3,4,here\n5,6,there\n", False),
        ("day,n\n2024-01-01,x\n2024-01-02,y\n", True),
    ],
)
def test_whether_the_first_row_has_names(read, text, has):
    assert read(text).has_header is has


def test_columns_get_names_of_their_own(read):
    table = read("a,a,,a.2\n1,2,3,4\n")
    assert [*table.columns] == ["a", "a.3", "column3", "a.2"]
    assert "a.3 (was 'a'), column3 (was '')" in table.notes[1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"a,b\n", r"a row of names \(a, b\), but no rows of values"),
        (b"a,b\n1,2\n1,2,3\n4\n", r"2 rows of another length .*: row 3 has 3 \(1, 2, 3\)"),
        (b'a,b\n1,2\n5,"6\n7,8\n9,10\n', "a quotation mark that is left open"),
        (b"PK\x03\x04more", "an Excel workbook"),
        (b"PAR1more", "is Parquet"),
        (b"\x00\x01\x02", "is no text"),
    ],
)  # fmt: skip
def test_files_that_are_no_tables(read, content, says):
    with pytest.raises(qs.DataError, match=says):
        read(content)


def test_what_cannot_be(read, tmp_path):
    with pytest.raises(qs.DataError, match=r"cannot read .*nowhere: No such file"):
        read_table(tmp_path / "nowhere")
    with pytest.raises(qs.DataError, match="no regular file"):
        read_table(tmp_path)
    with pytest.raises(qs.UsageError, match="no encoding 'klingon'"):
        read("a\n1\n", encoding="klingon")
    with pytest.raises(qs.DataError, match="not in ascii"):
        read("ä\n1\n", encoding="ascii")
    with pytest.raises(qs.UsageError, match="one character"):
        read("a\n1\n", separator="::")
