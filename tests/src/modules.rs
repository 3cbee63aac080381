//! The graph of the modules of a crate: which module uses which.
//!
//! The source is parsed by `syn`. Code under `#[cfg(test)]` is left out. A path is followed through re-exports to the module that
//! defines the item. Paths in the tokens of macros count from `crate` only.

mod paths;
mod resolve;
mod siblings;
mod tree;

use std::path::Path;

pub use siblings::Siblings;
use tree::Module;

/// The crates of the workspace that are programs, and their root files.
pub const CRATES: [(&str, &str); 3] = [("api", "api/src/lib.rs"), ("operator", "operator/src/lib.rs"), ("tools", "tools/src/main.rs")];

/// Parses the crate whose root file is at `root` in the repository.
///
/// # Panics
/// If a file of the crate cannot be read or parsed.
pub fn parse(root: &str) -> Crate {
    Crate { modules: tree::parse(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(root)) }
}

/// One crate, parsed.
pub struct Crate {
    modules: Vec<Module>,
}

impl Crate {
    /// Returns the children of each module that has more than one, with the uses between them. A use by a module counts for its
    /// parent.
    ///
    /// Uses between a module and its parent are left out, because a parent declares its children, which share its types.
    pub fn siblings(&self) -> Vec<Siblings> {
        siblings::find_siblings(&self.modules, &resolve::uses(&self.modules))
    }

    /// Formats the modules of the crate's root as a Mermaid flowchart.
    pub fn flowchart(&self) -> String {
        self.siblings().first().map(Siblings::flowchart).unwrap_or_default()
    }
}
