//! The graph of the packages of the workspace, and of the modules of each: which uses which.
//!
//! The source is parsed by `syn`. Code under `#[cfg(test)]` is left out. A path is followed through re-exports to the module that
//! defines the item. Paths in the tokens of macros count from `crate` only.

mod packages;
mod paths;
mod resolve;
mod siblings;
mod tree;

use std::path::Path;

pub use packages::{Package, flowchart, packages};
pub use siblings::Siblings;
use tree::Module;

/// Parses the crate whose root file is `root`.
///
/// # Panics
/// If a file of the crate cannot be read or parsed.
pub fn parse(root: &Path) -> Crate {
    Crate { modules: tree::parse(root) }
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
