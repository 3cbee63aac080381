//! Records out of a file, one at a time.

use std::{
    fs::File,
    io::{BufReader, Read},
    ops::ControlFlow,
    path::Path,
};

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde_json::Value;

use super::mapping::{Mapping, Record};
use crate::products::import::rows::{ReadError, json, ndjson, quotes::Quotes, without_byte_order_mark};

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
}

/// A record, or why there is none at this place.
pub type Found = Result<Record, String>;

impl Source {
    /// Hands every record to `each`, numbered from 1; `opened` sees what is read of the file.
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
        let source = without_byte_order_mark(BufReader::with_capacity(64 * 1024, opened(file)))?;
        let read = match self.format {
            FileFormat::Json => json::read_items(source, json::Shape::Lenient, &mut |row, text| each(row, object(text))),
            FileFormat::Ndjson => {
                ndjson::read_lines(source, &mut |row, line| each(row, line.map_err(|_| "not valid UTF-8".to_owned()).and_then(object)))
            }
            FileFormat::Csv => return self.read_csv(mapping, source, each),
        };
        match read {
            Ok(()) | Err(ReadError::Stopped) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", self.path.display())),
        }
    }

    fn read_csv(&self, mapping: &Mapping, source: impl Read, each: &mut dyn FnMut(u64, Found) -> ControlFlow<()>) -> anyhow::Result<()> {
        let (quotes, open_quote) = Quotes::new(source, self.delimiter);
        let mut reader = csv::ReaderBuilder::new().flexible(true).delimiter(self.delimiter).from_reader(quotes);
        let header: Vec<String> = reader.byte_headers()?.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        let missing = mapping.missing(&header);
        if !missing.is_empty() {
            bail!("{} has no column {}; its columns are {}", self.path.display(), missing.join(", "), header.join(", "));
        }
        if let Some(column) = mapping.wanting(&header).first() {
            bail!(
                "no column of {} is the {column} of a product: name one with --map {column}=..., or check --delimiter; its columns are {}",
                self.path.display(),
                header.join(", ")
            );
        }
        let mut record = csv::ByteRecord::new();
        let mut row = 0;
        while reader.read_byte_record(&mut record).with_context(|| format!("{} cannot be read", self.path.display()))? {
            row += 1;
            if let Some(line) = open_quote.at_end() {
                bail!("{} cannot be read: the quote that opens a cell in line {line} isn't closed", self.path.display());
            }
            if each(row, cells(&header, &record)).is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn object(text: &str) -> Found {
    match serde_json::from_str(text) {
        Ok(Value::Object(record)) => Ok(record),
        Ok(_) => Err("not a JSON object".into()),
        Err(error) => Err(format!("not valid JSON: {error}")),
    }
}

fn cells(header: &[String], record: &csv::ByteRecord) -> Found {
    if record.len() != header.len() {
        return Err(format!("has {} cells, and the header has {}", record.len(), header.len()));
    }
    let mut found = Record::new();
    for (name, cell) in header.iter().zip(record) {
        let text = std::str::from_utf8(cell).map_err(|_| format!("{name} is not valid UTF-8"))?;
        // Of two columns of one name the first counts.
        found.entry(name).or_insert_with(|| text.into());
    }
    Ok(found)
}
