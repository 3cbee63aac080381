//! Records out of a file, one at a time.

use std::{
    fs::File,
    io::{BufRead, Read},
    ops::ControlFlow,
    path::Path,
};

use anyhow::{Context, bail};
use clap::ValueEnum;

use super::{
    mapping::Mapping,
    value::{Record, Value},
};
use catalog::products::import::rows::{
    Charset, Decoded, ReadError, clip,
    csv::{CsvReader, CsvRecord},
    json, names, ndjson,
};

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// {"items": [...]} or [...]
    Json,
    /// A JSON object a line
    Ndjson,
    /// With a header line
    Csv,
}

impl FileFormat {
    /// The format the name of a file speaks of.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
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
    /// Where it is.
    pub path: std::path::PathBuf,
    /// How it is written.
    pub format: FileFormat,
    /// Between the cells of CSV.
    pub delimiter: u8,
    /// The encoding it is said to have.
    pub charset: Charset,
}

/// What is at the place of a row.
#[derive(Debug)]
pub enum Found {
    /// A record.
    Record(Record),
    /// A row that cannot be read; the next one can.
    Unreadable(String),
    /// An empty line, or a row of CSV without anything in its cells.
    Blank,
}

impl Source {
    /// Hands every row to `each`, numbered from 1; `opened` sees what is read of the file.
    ///
    /// # Errors
    /// If the file cannot be read to its end, or lacks a column of the mapping.
    pub fn read<R: Read>(
        &self,
        mapping: &Mapping,
        opened: impl FnOnce(File) -> R,
        each: &mut dyn FnMut(u64, Found) -> ControlFlow<()>,
    ) -> anyhow::Result<()> {
        let file = File::open(&self.path).with_context(|| format!("cannot open {}", self.path.display()))?;
        let source = Decoded::new(opened(file), self.charset);
        let read = match self.format {
            FileFormat::Json => json::read_items(source, json::Shape::Lenient, &mut |row, text| each(row, record(text))),
            FileFormat::Ndjson => {
                ndjson::read_lines(source, &mut |row, line| each(row, if line.is_empty() { Found::Blank } else { record(line) }))
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
        each: &mut dyn FnMut(u64, Found) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut reader = CsvReader::new(source, self.delimiter);
        let names = reader.read_header()?.map_or(Ok(Vec::new()), names).map_err(ReadError::Columns)?;
        let shown = || names.iter().map(|name| format!("{:?}", clip(name))).collect::<Vec<_>>().join(", ");
        let missing = mapping.missing(&names);
        if !missing.is_empty() {
            return Err(ReadError::Columns(vec![format!("it has no column {}; its columns are {}", missing.join(", "), shown())]));
        }
        if let Some(column) = mapping.wanting(&names).first() {
            return Err(ReadError::Columns(vec![format!(
                "no column is the {column} of a product: name one with --map {column}=..., or check --delimiter; its columns are {}",
                shown()
            )]));
        }
        let unknown: Vec<_> =
            mapping.unknown(&names).map(|name| format!("the column {:?} is not a field of products", clip(name))).collect();
        if !unknown.is_empty() {
            let remedy = "give --map for every column to import; the others are left out then";
            return Err(ReadError::Columns(vec![format!("{}: {remedy}", unknown.join(", "))]));
        }
        while let Some(row) = reader.read()? {
            if each(row.row, cells(&names, row)).is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn record(text: &str) -> Found {
    match Value::parse(text) {
        Ok(Value::Object(record)) => Found::Record(record),
        Ok(_) => Found::Unreadable("not a JSON object".into()),
        Err(error) => Found::Unreadable(error),
    }
}

fn cells(names: &[String], row: CsvRecord<'_>) -> Found {
    if row.is_blank() {
        return Found::Blank;
    }
    if row.cell_count() != names.len() {
        return Found::Unreadable(format!("has {} cells, and the header has {}", row.cell_count(), names.len()));
    }
    // Only columns without a name may be several, and no field is mapped to them.
    Found::Record(names.iter().cloned().zip(row.cells().map(|cell| Value::Text(cell.to_owned()))).collect())
}
