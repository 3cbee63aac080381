//! A reference reader of CSV, written directly from the grammar of RFC 4180, section 2, and generators of texts to test other
//! readers against it:
//!
//! ```text
//! file        = record *(line-end record) [line-end]
//! record      = field *(COMMA field)
//! field       = escaped / non-escaped
//! escaped     = DQUOTE *(TEXTDATA / COMMA / CR / LF / 2DQUOTE) DQUOTE
//! non-escaped = *TEXTDATA
//! ```
//!
//! `line-end` is CRLF, LF or CR here.

use proptest::prelude::*;

/// Reads the records before the first violation, and whether the text has none.
pub fn read(text: &str, comma: char) -> (Vec<Vec<String>>, bool) {
    let text: Vec<char> = text.chars().collect();
    let mut records = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let Some((record, end)) = record(&text, at, comma) else { return (records, false) };
        records.push(record);
        match line_end(&text, end) {
            Some(next) => at = next,
            None if end == text.len() => at = end,
            None => unreachable!("a record ends at a line end or at the end of the text"),
        }
    }
    (records, true)
}

fn record(text: &[char], start: usize, comma: char) -> Option<(Vec<String>, usize)> {
    let (first, mut at) = field(text, start, comma)?;
    let mut fields = vec![first];
    while text.get(at) == Some(&comma) {
        let (next, end) = field(text, at + 1, comma)?;
        fields.push(next);
        at = end;
    }
    Some((fields, at))
}

/// Reads the field at `start`, if a comma, a line end or the end of the text follows.
fn field(text: &[char], start: usize, comma: char) -> Option<(String, usize)> {
    let (field, end) = escaped(text, start).or_else(|| {
        let end = (start..text.len()).find(|at| text[*at] == comma || "\"\r\n".contains(text[*at])).unwrap_or(text.len());
        Some((text[start..end].iter().collect(), end))
    })?;
    let followed = end == text.len() || text[end] == comma || line_end(text, end).is_some();
    followed.then_some((field, end))
}

fn escaped(text: &[char], start: usize) -> Option<(String, usize)> {
    let mut at = if text.get(start) == Some(&'"') { start + 1 } else { return None };
    let mut field = String::new();
    loop {
        match (text.get(at)?, text.get(at + 1)) {
            ('"', Some('"')) => {
                field.push('"');
                at += 2;
            }
            ('"', _) => return Some((field, at + 1)),
            (other, _) => {
                field.push(*other);
                at += 1;
            }
        }
    }
}

fn line_end(text: &[char], at: usize) -> Option<usize> {
    match (text.get(at)?, text.get(at + 1)) {
        ('\r', Some('\n')) => Some(at + 2),
        ('\r' | '\n', _) => Some(at + 1),
        _ => None,
    }
}

/// Generates CSV with random damage, and texts of special characters.
#[allow(dead_code, reason = "the service suite has texts of its own")]
pub fn damaged_csv() -> impl Strategy<Value = String> {
    let cell = proptest::string::string_regex("[a-zä ,;\"\n\r]{0,5}").unwrap();
    let row = prop::collection::vec(cell, 1..5);
    let written = prop::collection::vec(row, 1..6).prop_map(|rows| rows.iter().map(|row| line(row) + "\n").collect::<String>());
    prop_oneof![3 => damaged(written), 1 => "[\",\n\r a\u{feff}]{0,30}"]
}

/// Generates texts with one kind of line ends and random damage.
pub fn damaged(written: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let ends = prop::sample::select(vec!["\n", "\r\n", "\r"]);
    let piece = prop::sample::select(vec!["", "\"", "\"\"", ",", ";", "\n", "\r", "\r\n", " ", "\u{feff}", "x"]);
    let damage = prop::collection::vec((any::<prop::sample::Index>(), 0..2usize, piece), 0..4);
    let cut = prop::option::weighted(0.2, any::<prop::sample::Index>());
    (written, ends, damage, cut).prop_map(|(text, end, damage, cut)| {
        let mut text: Vec<String> = text.replace('\n', end).chars().map(String::from).collect();
        for (index, removed, piece) in damage {
            let at = index.index(text.len() + 1);
            let end = text.len().min(at + removed);
            text.splice(at..end, [piece.to_owned()]);
        }
        text.truncate(cut.map_or(text.len(), |index| index.index(text.len() + 1)));
        text.concat()
    })
}

#[allow(dead_code, reason = "the service suite has texts of its own")]
fn line(cells: &[String]) -> String {
    let quoted = |cell: &String| {
        if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.clone() }
    };
    cells.iter().map(quoted).collect::<Vec<_>>().join(",")
}

#[test]
fn the_reference_reads_the_examples_of_the_rfc() {
    let rows = |rows: &[&[&str]]| rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect::<Vec<Vec<String>>>();
    assert_eq!(read("aaa,bbb,ccc\r\nzzz,yyy,xxx", ','), (rows(&[&["aaa", "bbb", "ccc"], &["zzz", "yyy", "xxx"]]), true));
    assert_eq!(
        read("\"aaa\",\"b \r\nbb\",\"ccc\"\r\nzzz,yyy,xxx", ','),
        (rows(&[&["aaa", "b \r\nbb", "ccc"], &["zzz", "yyy", "xxx"]]), true)
    );
    assert_eq!(read("\"aaa\",\"b\"\"bb\",\"ccc\"", ','), (rows(&[&["aaa", "b\"bb", "ccc"]]), true));
    assert_eq!(read("a\n\"b\"c\n", ','), (rows(&[&["a"]]), false));
    assert_eq!(read("a,\n\n", ','), (rows(&[&["a", ""], &[""]]), true));
}
