//! From the columns of a file to the fields of a product.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, json};

use super::{
    dates, map_option,
    numbers::Notation,
    slug,
    value::{Record, Value},
};
use catalog::{
    full_date,
    http::body::whole::{Literal, of_literal},
    products::import::{
        Fault,
        rows::{Column, pointer},
    },
};

/// Where the fields of a product come from.
#[derive(Debug, Default)]
pub struct Mapping {
    /// Column of the file for each field; empty: columns are taken by their own name.
    sources: BTreeMap<Column, String>,
    /// Fields that are the same for every row.
    constants: BTreeMap<Column, String>,
    /// The field the sku is made of.
    sku_from: Option<Column>,
    /// How numbers are written.
    notation: Notation,
}

/// A record as it is sent.
#[derive(Debug)]
pub struct Mapped {
    /// The fields that can be read.
    pub row: serde_json::Value,
    /// What is wrong with the others: then nothing of the row is to be imported.
    pub faults: Vec<Fault>,
}

impl Mapping {
    /// Reads the command line's `field=column`, `field=value` and `field`.
    ///
    /// # Errors
    /// What is wrong with each that is.
    pub fn new(maps: &[String], sets: &[String], sku_from: Option<&str>, notation: Notation) -> Result<Self, Vec<String>> {
        let mut mapping = Self { notation, ..Self::default() };
        let mut faults = Vec::new();
        for option in maps {
            match map_option::pairs(option) {
                Ok(pairs) => pairs.into_iter().for_each(|(field, name)| keep("--map", &field, name, &mut mapping.sources, &mut faults)),
                Err(fault) => faults.push(fault),
            }
        }
        for option in sets {
            match option.split_once('=').filter(|(_, value)| !value.trim().is_empty()) {
                Some((field, value)) => keep("--set", field, value.trim().to_owned(), &mut mapping.constants, &mut faults),
                None => faults.push(format!("--set {option:?} is not allowed: give FIELD=VALUE, such as currency=EUR")),
            }
        }
        match sku_from.map(|name| column("--sku-from", name)) {
            Some(Ok(Column::Sku)) => faults.push("--sku-from sku is not allowed: give another field, such as url".into()),
            Some(Ok(column)) => mapping.sku_from = Some(column),
            Some(Err(fault)) => faults.push(fault),
            None => {}
        }
        faults.extend(mapping.conflicts());
        if faults.is_empty() { Ok(mapping) } else { Err(faults) }
    }

    fn conflicts(&self) -> Vec<String> {
        let mut known = BTreeSet::new();
        let twice = self.sources.values().filter(|source| !known.insert(source.as_str()));
        let mut faults: Vec<_> =
            twice.map(|source| format!("--map takes two fields from the column {source:?}: map each column once")).collect();
        let both = self.sources.keys().filter(|column| self.constants.contains_key(column));
        faults.extend(both.map(|column| format!("{column} is given by --map and by --set")));
        if self.sku_from.is_some() && (self.sources.contains_key(&Column::Sku) || self.constants.contains_key(&Column::Sku)) {
            faults.push("sku is given by --sku-from and by --map or --set".into());
        }
        let constants = self.constants.iter().filter_map(|(column, value)| {
            let fault = self.convert(column, Value::Text(value.clone())).err()?;
            Some(format!("--set {column}={value}: {}", fault.detail))
        });
        faults.extend(constants);
        faults
    }

    /// The columns named by `--map` that a file with this header doesn't have.
    #[must_use]
    pub fn missing(&self, header: &[String]) -> Vec<&str> {
        self.sources.values().filter(|source| !header.contains(source)).map(String::as_str).collect()
    }

    /// The fields every product must have that a file with this header gives no row.
    #[must_use]
    pub fn wanting(&self, header: &[String]) -> Vec<Column> {
        let given = |column: &Column| {
            self.sources.contains_key(column)
                || self.constants.contains_key(column)
                || (*column == Column::Sku && self.sku_from.is_some())
                || (self.sources.is_empty() && header.contains(&column.to_string()))
        };
        [Column::Sku, Column::Name, Column::Price].into_iter().filter(|column| !given(column)).collect()
    }

    /// The columns of this header that are no field of products, where no `--map` says what they are.
    pub fn unknown<'a>(&self, header: &'a [String]) -> impl Iterator<Item = &'a str> {
        let unmapped = self.sources.is_empty();
        header.iter().map(String::as_str).filter(move |name| unmapped && !is_known(name))
    }

    /// The field the sku is made of.
    #[must_use]
    pub fn sku_from(&self) -> Option<&Column> {
        self.sku_from.as_ref()
    }

    /// The row to send. What the API checks as well is left to it.
    #[must_use]
    pub fn row(&self, record: &Record) -> Mapped {
        let mut row = Map::new();
        let mut attributes = Map::new();
        let mut currency = None;
        let unknown = record.keys().filter(|name| self.sources.is_empty() && !is_known(name));
        let mut faults: Vec<_> = unknown
            .map(|name| {
                let detail = format!("{:?} is not a field of products; map it with --map, or remove it", clip(name));
                Fault { pointer: format!("/{}", catalog::http::json_pointer::escape(name)), detail }
            })
            .collect();
        for (column, value) in self.fields(record) {
            let value = match self.convert(&column, value) {
                Ok(Some(value)) => value,
                Ok(None) => continue,
                Err(fault) => {
                    faults.push(fault);
                    continue;
                }
            };
            match &column {
                Column::Currency => currency = Some(value),
                Column::Attribute(name) => {
                    if attributes.insert(name.clone(), value).is_some() {
                        faults.push(Fault { pointer: pointer(&column), detail: "is given twice".into() });
                    }
                }
                field => {
                    row.insert(field.to_string(), value);
                }
            }
        }
        if let Some(from) = &self.sku_from
            && let Some(serde_json::Value::String(text)) = row.get(&from.to_string())
        {
            row.insert("sku".into(), slug::of(text).into());
        }
        if let (Some(currency), Some(serde_json::Value::Object(price))) = (currency, row.get_mut("price")) {
            let given = price.insert("currency".into(), currency.clone());
            if let Some(given) = given.filter(|given| !given.is_null() && *given != currency) {
                let detail = format!("is given twice: {given} and {currency}");
                faults.push(Fault { pointer: pointer(&Column::Currency), detail });
            }
        }
        if !attributes.is_empty() {
            row.insert("attributes".into(), attributes.into());
        }
        Mapped { row: row.into(), faults }
    }

    fn fields(&self, record: &Record) -> Vec<(Column, Value)> {
        let mut fields: Vec<(Column, Value)> = if self.sources.is_empty() {
            let nested = if let Some(Value::Object(attributes)) = record.get("attributes") { Some(attributes) } else { None };
            let nested = nested.into_iter().flatten().map(|(name, value)| (Column::Attribute(name.clone()), value.clone()));
            let own = record.iter().filter_map(|(name, value)| Some((name.parse().ok()?, value.clone())));
            own.chain(nested).filter(|(column, _)| !self.constants.contains_key(column)).collect()
        } else {
            self.sources.iter().filter_map(|(column, source)| Some((column.clone(), find(record, source)?.clone()))).collect()
        };
        fields.extend(self.constants.iter().map(|(column, value)| (column.clone(), Value::Text(value.clone()))));
        fields
    }

    /// The value as the API wants it; `None` for an empty one.
    fn convert(&self, column: &Column, value: Value) -> Result<Option<serde_json::Value>, Fault> {
        let fault = |pointer: &str, detail| Fault { pointer: pointer.to_owned(), detail };
        let text = match (column, value) {
            (Column::Price, Value::Object(mut price)) => {
                if let Some(amount) = price.remove("amount") {
                    let amount = self.amount(amount).map_err(|detail| fault("/price/amount", detail))?;
                    price.insert("amount".into(), amount);
                }
                return Ok(Some(Value::Object(price).into_json()));
            }
            (Column::Price, value @ (Value::Number(_) | Value::Text(_))) => {
                let amount = self.amount(value).map_err(|detail| fault("/price/amount", detail))?;
                return Ok(if amount == Value::Text(String::new()) { None } else { Some(json!({"amount": amount.into_json()})) });
            }
            (Column::Quantity, Value::Number(number)) => {
                let Literal::Whole(quantity) = of_literal(&number) else {
                    return Err(fault("/quantity", format!("must be a whole number, not {}", clip(&number))));
                };
                return Ok(Some(quantity.into()));
            }
            (Column::Quantity, Value::Text(text)) if text.trim().is_empty() => return Ok(None),
            (Column::Quantity, Value::Text(text)) => {
                let quantity = self.notation.quantity(text.trim()).map_err(|detail| fault("/quantity", detail))?;
                return Ok(Some(quantity.into()));
            }
            (Column::Sku, Value::Number(number)) if number.contains(['.', 'e', 'E']) => {
                let detail = format!("must be text: a number such as {} can be written in several ways; put it in quotes", clip(&number));
                return Err(fault("/sku", detail));
            }
            (Column::Categories, Value::List(given)) => return Ok(Some(categories(given))),
            (_, Value::Text(text)) => collapse(&text, *column == Column::Description),
            (_, Value::Number(number)) => number,
            (_, Value::Bool(flag)) => flag.to_string(),
            (_, other) => return Ok(Some(other.into_json())),
        };
        if text.is_empty() {
            return Ok(None);
        }
        Ok(Some(match column {
            Column::Categories => categories(text.split('|').map(|category| Value::Text(category.to_owned())).collect()),
            Column::ReleasedOn => {
                dates::parse(&text).ok_or_else(|| fault("/released_on", full_date::validation_error(&text)))?.to_string().into()
            }
            _ => text.into(),
        }))
    }

    /// The amount of a price, as text. A number of JSON is written with a decimal point, whatever other numbers are.
    fn amount(&self, value: Value) -> Result<Value, String> {
        Ok(match value {
            Value::Number(number) => Value::Text(number),
            Value::Text(text) if !text.trim().is_empty() => Value::Text(self.notation.amount(text.trim())?),
            Value::Text(_) => Value::Text(String::new()),
            other => other,
        })
    }
}

/// Notes what an option says of a field.
fn keep(option: &str, field: &str, value: String, kept: &mut BTreeMap<Column, String>, faults: &mut Vec<String>) {
    match column(option, field) {
        Ok(column) => {
            if kept.insert(column, value).is_some() {
                faults.push(format!("{option} gives {field} twice"));
            }
        }
        Err(fault) => faults.push(fault),
    }
}

fn column(option: &str, name: &str) -> Result<Column, String> {
    name.trim().parse().map_err(|()| {
        let known: Vec<_> = Column::FIELDS.iter().map(|(name, _)| *name).collect();
        format!("{option}: {:?} is not a field of products: give {} or attributes.<name>", name.trim(), known.join(", "))
    })
}

/// Whether a name is that of a field of products.
fn is_known(name: &str) -> bool {
    name == "attributes" || name.parse::<Column>().is_ok()
}

/// A field by its name, or by the names on the way to it.
fn find<'a>(record: &'a Record, source: &str) -> Option<&'a Value> {
    record.get(source).or_else(|| {
        let (first, rest) = source.split_once('.')?;
        if let Value::Object(inner) = record.get(first)? { find(inner, rest) } else { None }
    })
}

/// Each category once, without empty ones.
fn categories(given: Vec<Value>) -> serde_json::Value {
    let mut kept: Vec<serde_json::Value> = Vec::with_capacity(given.len());
    for category in given {
        let category = match category {
            Value::Text(text) | Value::Number(text) => collapse(&text, false).into(),
            other => other.into_json(),
        };
        if category != "" && !kept.contains(&category) {
            kept.push(category);
        }
    }
    kept.into()
}

fn clip(text: &str) -> String {
    text.chars().take(32).collect()
}

/// One space for every run of white space within a line. Where there may be one line only, a text of several stays as it is, for
/// the API to reject: it may be two cells, or a whole row.
fn collapse(text: &str, lines: bool) -> String {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.trim();
    match (lines, text.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])) {
        (true, _) => text.lines().map(words).collect::<Vec<_>>().join("\n"),
        (false, true) => text.to_owned(),
        (false, false) => words(text),
    }
}

#[cfg(test)]
mod tests;
