//! Maps the columns of a file to the fields of a product.

use std::collections::{BTreeMap, BTreeSet};

use catalog_rows::{Column, Fault, pointer};
use catalog_values::{
    full_date,
    whole::{Literal, parse_literal},
};
use serde_json::{Map, json};

use super::{
    dates, map_option,
    numbers::Notation,
    slug,
    value::{Record, Value},
};

/// The options `--map`, `--set`, `--sku-from` and `--decimal-comma`.
#[derive(Debug, Default)]
pub struct Mapping {
    /// Column of each field. If empty, columns have the names of fields.
    sources: BTreeMap<Column, String>,
    /// Fields with the same value in every row.
    constants: BTreeMap<Column, String>,
    /// The field from which the sku is generated.
    sku_from: Option<Column>,
    notation: Notation,
}

/// A row for the API.
#[derive(Debug)]
pub struct Mapped {
    /// The valid fields.
    pub row: serde_json::Value,
    /// Errors of other fields. If there are any, the row is not imported.
    pub faults: Vec<Fault>,
}

impl Mapping {
    /// Parses the options.
    ///
    /// # Errors
    /// All invalid options.
    pub fn new(maps: &[String], sets: &[String], sku_from: Option<&str>, notation: Notation) -> Result<Self, Vec<String>> {
        let mut mapping = Self { notation, ..Self::default() };
        let mut faults = Vec::new();
        for option in maps {
            match map_option::parse_pairs(option) {
                Ok(pairs) => {
                    for (field, name) in pairs {
                        insert_option("--map", &field, name, &mut mapping.sources, &mut faults);
                    }
                }
                Err(fault) => faults.push(fault),
            }
        }
        for option in sets {
            match option.split_once('=').filter(|(_, value)| !value.trim().is_empty()) {
                Some((field, value)) => insert_option("--set", field, value.trim().to_owned(), &mut mapping.constants, &mut faults),
                None => faults.push(format!("--set {option:?} is invalid: use FIELD=VALUE, such as currency=EUR")),
            }
        }
        match sku_from.map(|name| column("--sku-from", name)) {
            Some(Ok(Column::Sku)) => faults.push("--sku-from sku is invalid: use another field, such as url".into()),
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
            twice.map(|source| format!("--map maps the column {source:?} to two fields: map each column once")).collect();
        let both = self.sources.keys().filter(|column| self.constants.contains_key(column));
        faults.extend(both.map(|column| format!("{column} is set by both --map and --set: remove one")));
        if self.sku_from.is_some() && (self.sources.contains_key(&Column::Sku) || self.constants.contains_key(&Column::Sku)) {
            faults.push("sku is set by both --sku-from and --map or --set: remove one".into());
        }
        let constants = self.constants.iter().filter_map(|(column, value)| {
            let fault = self.convert(column, Value::Text(value.clone())).err()?;
            Some(format!("--set {column}={value}: {}", fault.detail))
        });
        faults.extend(constants);
        faults
    }

    /// Returns the columns of `--map` that are missing in the header.
    #[must_use]
    pub fn missing_columns(&self, header: &[String]) -> Vec<&str> {
        self.sources.values().filter(|source| !header.contains(source)).map(String::as_str).collect()
    }

    /// Returns the required fields that rows with this header don't have.
    #[must_use]
    pub fn missing_fields(&self, header: &[String]) -> Vec<Column> {
        let given = |column: &Column| {
            self.sources.contains_key(column)
                || self.constants.contains_key(column)
                || (*column == Column::Sku && self.sku_from.is_some())
                || (self.sources.is_empty() && header.contains(&column.to_string()))
        };
        [Column::Sku, Column::Name, Column::Price].into_iter().filter(|column| !given(column)).collect()
    }

    /// Without `--map`, returns the columns of the header that are not fields of products.
    pub fn unknown_columns<'a>(&self, header: &'a [String]) -> impl Iterator<Item = &'a str> {
        let unmapped = self.sources.is_empty();
        header.iter().map(String::as_str).filter(move |name| unmapped && !is_known(name))
    }

    /// Returns the field from which the sku is generated.
    #[must_use]
    pub fn sku_from(&self) -> Option<&Column> {
        self.sku_from.as_ref()
    }

    /// Maps a record. Checks of the API are not repeated here.
    #[must_use]
    pub fn row(&self, record: &Record) -> Mapped {
        let mut row = Map::new();
        let mut attributes = Map::new();
        let mut currency = None;
        let unknown = record.keys().filter(|name| self.sources.is_empty() && !is_known(name));
        let mut faults: Vec<_> = unknown
            .map(|name| {
                let detail = format!("{:?} is not a field of products; map it with --map, or remove it", clip(name));
                Fault { pointer: format!("/{}", catalog_values::json_pointer::escape(name)), detail }
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
            row.insert("sku".into(), slug::generate_sku(text).into());
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

    /// Converts a value for the API. Returns `None` for an empty value.
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
                let Literal::Whole(quantity) = parse_literal(&number) else {
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
                let detail =
                    format!("must be text, because a number such as {} can be written in several ways: put it in quotes", clip(&number));
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

    /// Converts the amount of a price to text. JSON numbers always have a decimal point.
    fn amount(&self, value: Value) -> Result<Value, String> {
        Ok(match value {
            Value::Number(number) => Value::Text(number),
            Value::Text(text) if !text.trim().is_empty() => Value::Text(self.notation.amount(text.trim())?),
            Value::Text(_) => Value::Text(String::new()),
            other => other,
        })
    }
}

/// Adds the value of an option for a field.
fn insert_option(option: &str, field: &str, value: String, kept: &mut BTreeMap<Column, String>, faults: &mut Vec<String>) {
    match column(option, field) {
        Ok(column) => {
            if kept.insert(column, value).is_some() {
                faults.push(format!("{option} sets {field} twice"));
            }
        }
        Err(fault) => faults.push(fault),
    }
}

fn column(option: &str, name: &str) -> Result<Column, String> {
    name.trim().parse().map_err(|()| {
        let known: Vec<_> = Column::FIELDS.iter().map(|(name, _)| *name).collect();
        format!("{option}: {:?} is not a field of products: use {} or attributes.<name>", name.trim(), known.join(", "))
    })
}

/// Whether a name is a field of products.
fn is_known(name: &str) -> bool {
    name == "attributes" || name.parse::<Column>().is_ok()
}

/// Finds a value by its name or, in nested objects, by its path.
fn find<'a>(record: &'a Record, source: &str) -> Option<&'a Value> {
    record.get(source).or_else(|| {
        let (first, rest) = source.split_once('.')?;
        if let Value::Object(inner) = record.get(first)? { find(inner, rest) } else { None }
    })
}

/// Removes duplicate and empty categories.
fn categories(values: Vec<Value>) -> serde_json::Value {
    let mut kept: Vec<serde_json::Value> = Vec::with_capacity(values.len());
    for category in values {
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

/// Collapses white space within a line. If only one line is allowed, a text of several lines is not changed, so that the API
/// rejects it: it may contain several cells or rows.
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
