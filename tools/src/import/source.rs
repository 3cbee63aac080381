//! Reads the records of a file one at a time.

use std::{
    fs::File,
    io::{BufRead, Read},
    ops::ControlFlow,
    path::Path,
};

use anyhow::{Context, bail};
use catalog_rows::{
    Charset, Decoded, ReadError, clip,
    csv::{CsvReader, CsvRecord},
    json, names, ndjson,
};
use clap::ValueEnum;

use super::{
    mapping::Mapping,
    value::{Record, Value},
};

/// Format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// {"items": [...]} or [...]
    Json,
    /// One JSON object per line
    Ndjson,
    /// With a header line
    Csv,
}

impl FileFormat {
    /// Returns the format by the extension of a file name.
    #[must_use]
    pub fn from_name(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Json),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "csv" | "tsv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// A file to be imported.
#[derive(Debug, Clone)]
pub struct Source {
    pub path: std::path::PathBuf,
    pub format: FileFormat,
    /// Delimiter of CSV.
    pub delimiter: u8,
    pub charset: Charset,
}

#[derive(Debug)]
pub enum ParsedRow {
    Record(Record),
    /// A row that cannot be parsed, with the reason. Following rows can be.
    Unreadable(String),
    /// An empty line, or a CSV row with only empty cells.
    Blank,
}

impl Source {
    /// Calls `each` for every row, numbered from 1. `wrap` wraps the file, for a progress bar.
    ///
    /// # Errors
    /// If the file cannot be read to its end, or lacks a column of the mapping.
    pub fn read<R: Read>(
        &self,
        mapping: &Mapping,
        wrap: impl FnOnce(File) -> R,
        each: &mut dyn FnMut(u64, ParsedRow) -> ControlFlow<()>,
    ) -> anyhow::Result<()> {
        let file = File::open(&self.path).with_context(|| format!("cannot open {}", self.path.display()))?;
        let source = Decoded::new(wrap(file), self.charset);
        let read = match self.format {
            FileFormat::Json => json::read_items(source, json::Shape::Lenient, &mut |row, text| each(row, parse_record(text))),
            FileFormat::Ndjson => {
                ndjson::read_lines(source, &mut |row, line| each(row, if line.is_empty() { ParsedRow::Blank } else { parse_record(line) }))
            }
            FileFormat::Csv => self.read_csv(mapping, source, each),
        };
        match read {
            Ok(()) | Err(ReadError::Stopped) => Ok(()),
            Err(error @ ReadError::Encoding(_)) => bail!(
                "{} cannot be read: {error}; name its encoding with --encoding, such as --encoding windows-1252 or --encoding utf-16le",
                self.path.display()
            ),
            Err(error) => bail!("{} cannot be read: {error}", self.path.display()),
        }
    }

    fn read_csv<R: BufRead>(
        &self,
        mapping: &Mapping,
        source: R,
        each: &mut dyn FnMut(u64, ParsedRow) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut reader = CsvReader::new(source, self.delimiter);
        let names = reader.read_header()?.map_or(Ok(Vec::new()), names).map_err(ReadError::Columns)?;
        let shown = || names.iter().map(|name| format!("{:?}", clip(name))).collect::<Vec<_>>().join(", ");
        let missing = mapping.missing_columns(&names);
        if !missing.is_empty() {
            return Err(ReadError::Columns(vec![format!("the column {} is missing; the columns are {}", missing.join(", "), shown())]));
        }
        if let Some(column) = mapping.missing_fields(&names).first() {
            return Err(ReadError::Columns(vec![format!(
                "no column is mapped to {column}: map one with --map {column}=..., or check --delimiter; the columns are {}",
                shown()
            )]));
        }
        let unknown: Vec<_> =
            mapping.unknown_columns(&names).map(|name| format!("the column {:?} is not a field of products", clip(name))).collect();
        if !unknown.is_empty() {
            let remedy = "use --map for every column to import; others are then ignored";
            return Err(ReadError::Columns(vec![format!("{}: {remedy}", unknown.join(", "))]));
        }
        while let Some(row) = reader.read()? {
            if each(row.row, parse_cells(&names, row)).is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn parse_record(text: &str) -> ParsedRow {
    match Value::parse(text) {
        Ok(Value::Object(record)) => ParsedRow::Record(record),
        Ok(_) => ParsedRow::Unreadable("not a JSON object".into()),
        Err(error) => ParsedRow::Unreadable(error),
    }
}

fn parse_cells(names: &[String], row: CsvRecord<'_>) -> ParsedRow {
    if row.is_blank() {
        return ParsedRow::Blank;
    }
    if row.cell_count() != names.len() {
        return ParsedRow::Unreadable(format!("has {} cells, and the header has {}", row.cell_count(), names.len()));
    }
    // Names are unique, except the empty one, to which no field is mapped.
    ParsedRow::Record(names.iter().cloned().zip(row.cells().map(|cell| Value::Text(cell.to_owned()))).collect())
}
