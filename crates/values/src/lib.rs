//! Rules of single values: what a text, a date, a number or a sku may be, and how JSON is read strictly. They depend on neither HTTP
//! nor the database, so that the service, which rejects invalid values, and the import tool, which converts values before it sends
//! them, have the same rules.

pub mod characters;
mod currency;
mod duplicate_key;
pub mod full_date;
pub mod json_pointer;
pub mod product;
pub mod text;
pub mod whole;

pub use currency::Currency;
pub use duplicate_key::find_duplicate_key;
