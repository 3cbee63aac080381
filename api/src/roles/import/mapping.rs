//! From the columns of a file to the fields of a product.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{dates, slug};
use crate::products::import::rows::Column;

/// One record of a file: what is under which column or field.
pub type Record = Map<String, Value>;

/// Where the fields of a product come from.
#[derive(Debug, Default)]
pub struct Mapping {
    /// Column of the file for each field; empty: columns are taken by their own name.
    sources: BTreeMap<Column, String>,
    /// Fields that are the same for every row.
    constants: BTreeMap<Column, String>,
    /// The field the sku is made of.
    sku_from: Option<Column>,
    /// Numbers are written `1.234,50`.
    decimal_comma: bool,
}

impl Mapping {
    /// Reads the command line's `target=source`, `target=value` and `target`.
    ///
    /// # Errors
    /// What is wrong with each that is.
    pub fn new(maps: &[String], sets: &[String], sku_from: Option<&str>, decimal_comma: bool) -> Result<Self, Vec<String>> {
        let mut mapping = Self { decimal_comma, ..Self::default() };
        let mut faults = Vec::new();
        for (option, given, kept) in [("--map", maps, &mut mapping.sources), ("--set", sets, &mut mapping.constants)] {
            for pair in given {
                let Some((name, value)) = pair.split_once('=').filter(|(_, value)| !value.trim().is_empty()) else {
                    faults.push(format!("{option} {pair:?} is not allowed: give target=source, such as sku=item_id"));
                    continue;
                };
                match column(option, name) {
                    Ok(column) => {
                        if kept.insert(column, value.trim().to_owned()).is_some() {
                            faults.push(format!("{option} gives {name} twice"));
                        }
                    }
                    Err(fault) => faults.push(fault),
                }
            }
        }
        match sku_from.map(|name| column("--sku-from", name)) {
            Some(Ok(Column::Sku)) => faults.push("--sku-from sku is not allowed: give another field, such as url".into()),
            Some(Ok(column)) => mapping.sku_from = Some(column),
            Some(Err(fault)) => faults.push(fault),
            None => {}
        }
        let both = mapping.sources.keys().filter(|column| mapping.constants.contains_key(column));
        faults.extend(both.map(|column| format!("{column} is given by --map and by --set")));
        if mapping.sku_from.is_some() && (mapping.sources.contains_key(&Column::Sku) || mapping.constants.contains_key(&Column::Sku)) {
            faults.push("sku is given by --sku-from and by --map or --set".into());
        }
        if faults.is_empty() { Ok(mapping) } else { Err(faults) }
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

    /// The field the sku is made of.
    #[must_use]
    pub fn sku_from(&self) -> Option<&Column> {
        self.sku_from.as_ref()
    }

    /// The row to send. What cannot be understood is left as it is, so that the server names it.
    #[must_use]
    pub fn row(&self, record: &Record) -> Value {
        let mut row = Map::new();
        let mut attributes = Map::new();
        let mut currency = None;
        for (column, value) in self.fields(record) {
            let Some(value) = self.convert(&column, value) else { continue };
            match column {
                Column::Currency => currency = Some(value),
                Column::Attribute(name) => {
                    attributes.insert(name, value);
                }
                field => {
                    row.insert(field.to_string(), value);
                }
            }
        }
        if let Some(from) = &self.sku_from
            && let Some(Value::String(text)) = row.get(&from.to_string())
        {
            row.insert("sku".into(), slug::of(text).into());
        }
        if let (Some(currency), Some(Value::Object(price))) = (currency, row.get_mut("price")) {
            price.insert("currency".into(), currency);
        }
        if !attributes.is_empty() {
            row.insert("attributes".into(), attributes.into());
        }
        Value::Object(row)
    }

    fn fields(&self, record: &Record) -> Vec<(Column, Value)> {
        let mut fields: Vec<(Column, Value)> = if self.sources.is_empty() {
            let nested = record.get("attributes").and_then(Value::as_object).into_iter().flatten();
            let nested = nested.map(|(name, value)| (Column::Attribute(name.clone()), value.clone()));
            let own = record.iter().filter_map(|(name, value)| Some((name.parse().ok()?, value.clone())));
            own.chain(nested).filter(|(column, _)| !self.constants.contains_key(column)).collect()
        } else {
            self.sources.iter().filter_map(|(column, source)| Some((column.clone(), find(record, source)?.clone()))).collect()
        };
        fields.extend(self.constants.iter().map(|(column, value)| (column.clone(), Value::from(value.as_str()))));
        fields
    }

    /// The value as the API wants it; `None` for an empty one.
    fn convert(&self, column: &Column, value: Value) -> Option<Value> {
        if *column == Column::Categories && value.is_array() {
            return Some(categories(value));
        }
        let text = match value {
            Value::String(text) => collapse(&text, *column == Column::Description),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            other => return Some(other),
        };
        if text.is_empty() {
            return None;
        }
        Some(match column {
            Column::Categories => categories(text.split('|').map(Value::from).collect()),
            Column::Price => json!({"amount": self.number(&text)}),
            Column::ReleasedOn => dates::parse(&text).map_or(text, |day| day.to_string()).into(),
            Column::Quantity => self.number(&text).parse::<i64>().map_or_else(|_| Value::from(text), Value::from),
            _ => text.into(),
        })
    }

    fn number(&self, text: &str) -> String {
        let is_number = text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | ' ' | '\u{a0}' | '\u{202f}' | '\''));
        if !self.decimal_comma || !is_number || text.matches(',').count() > 1 {
            return text.to_owned();
        }
        text.chars().filter(|c| c.is_ascii_digit() || *c == ',').map(|c| if c == ',' { '.' } else { c }).collect()
    }
}

fn column(option: &str, name: &str) -> Result<Column, String> {
    name.trim().parse().map_err(|()| {
        let known: Vec<_> = Column::FIELDS.iter().map(|(name, _)| *name).collect();
        format!("{option}: {:?} is not a field of products: give {} or attributes.<name>", name.trim(), known.join(", "))
    })
}

/// A field by its name, or by the names on the way to it.
fn find<'a>(record: &'a Record, source: &str) -> Option<&'a Value> {
    record.get(source).or_else(|| {
        let (first, rest) = source.split_once('.')?;
        find(record.get(first)?.as_object()?, rest)
    })
}

/// Each category once, without empty ones.
fn categories(given: Value) -> Value {
    let Value::Array(given) = given else { return given };
    let mut kept: Vec<Value> = Vec::with_capacity(given.len());
    for category in given {
        let category = category.as_str().map(|text| Value::from(collapse(text, false))).unwrap_or(category);
        if category != "" && !kept.contains(&category) {
            kept.push(category);
        }
    }
    kept.into()
}

/// One space for every run of white space; line ends stay where lines may.
fn collapse(text: &str, lines: bool) -> String {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    if lines { text.lines().map(words).collect::<Vec<_>>().join("\n").trim().to_owned() } else { words(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(maps: &[&str], sets: &[&str], sku_from: Option<&str>) -> Result<Mapping, Vec<String>> {
        let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        Mapping::new(&owned(maps), &owned(sets), sku_from, true)
    }

    fn record(value: &Value) -> Record {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_row_of_a_shop_abroad_becomes_a_product() {
        let maps = [
            "sku=item_id",
            "name=name",
            "categories=category",
            "price=price",
            "description=short",
            "attributes.width=width",
            "attributes.depth=depth",
        ];
        let mapping = mapping(&maps, &["currency=SAR", "brand=IKEA"], None).unwrap();
        let source = json!({"X1": "0", "item_id": "90420332", "name": "FREKVENS", "category": "Bar furniture", "price": "2.265,0",
            "short": "Bar table,          51x51 cm", "width": "51", "depth": ""});
        assert_eq!(
            mapping.row(&record(&source)),
            json!({"sku": "90420332", "name": "FREKVENS", "categories": ["Bar furniture"], "price": {"amount": "2265.0", "currency": "SAR"},
                "description": "Bar table, 51x51 cm", "attributes": {"width": "51"}, "brand": "IKEA"})
        );
    }

    #[test]
    fn what_is_not_understood_stays_as_it_is() {
        let mapping = mapping(&["name=title", "url=uri", "released_on=date"], &["price=0"], Some("url")).unwrap();
        let row = mapping.row(&record(&json!({"title": null, "uri": null, "date": "May 23"})));
        assert_eq!(row, json!({"name": null, "url": null, "released_on": "May 23", "price": {"amount": "0"}}));
        let row = mapping.row(&record(&json!({"title": "A", "uri": "/a", "date": "06 Oct 1980"})));
        assert_eq!((&row["released_on"], &row["sku"]), (&json!("1980-10-06"), &json!(slug::of("/a"))));
    }

    #[test]
    fn without_a_map_names_are_taken_as_they_are() {
        let mapping = mapping(&[], &["currency=EUR"], None).unwrap();
        let row = json!({"sku": 7, "price": {"amount": "1"}, "colour": "red", "quantity": "12", "categories": ["a", "a ", ""], "attributes": {"b": 1}});
        assert_eq!(
            mapping.row(&record(&row)),
            json!({"sku": "7", "price": {"amount": "1", "currency": "EUR"}, "quantity": 12, "categories": ["a"], "attributes": {"b": "1"}})
        );
    }

    #[test]
    fn every_wrong_part_of_the_command_line_is_named() {
        let faults = mapping(&["sku", "colour=c", "name=a", "name=b"], &["name=x"], Some("sku")).unwrap_err();
        assert_eq!(faults.len(), 5, "{faults:?}");
        assert!(faults[1].contains("\"colour\" is not a field of products"));
    }

    #[test]
    fn a_decimal_comma_is_only_read_in_numbers() {
        let mapping = mapping(&["price=p"], &[], None).unwrap();
        for (given, amount) in [
            ("265,0", "265.0"),
            ("1.234.567,89", "1234567.89"),
            ("1 234,5", "1234.5"),
            ("12", "12"),
            ("SR 2,375", "SR 2,375"),
            ("1,2,3", "1,2,3"),
        ] {
            assert_eq!(mapping.row(&record(&json!({"p": given})))["price"]["amount"], amount);
        }
    }
}
