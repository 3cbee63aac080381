//! Errors of rows.

/// An error of a row or of one of its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer into the row; empty for the whole row.
    pub pointer: String,
    /// What is wrong, and what is allowed.
    pub detail: String,
}

impl Fault {
    /// An error of the whole row.
    pub fn of_row(detail: impl Into<String>) -> Self {
        Self { pointer: String::new(), detail: detail.into() }
    }

    /// Field name, such as `price.amount`; `None` for the whole row.
    #[must_use]
    pub fn field(&self) -> Option<String> {
        self.pointer.strip_prefix('/').map(|path| path.replace('/', ".").replace("~1", "/").replace("~0", "~"))
    }
}
