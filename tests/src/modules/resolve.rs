//! From paths to the modules that define what they name.

use std::collections::BTreeSet;

use super::{
    paths::{self, Paths},
    tree::Module,
};

/// Pairs of a module and another that it uses, by index.
pub type Uses = BTreeSet<(usize, usize)>;

/// A path goes through fewer re-exports than this.
const MAX_REEXPORTS: usize = 16;

/// Who uses whom.
pub fn uses(modules: &[Module]) -> Uses {
    let paths: Vec<_> = modules.iter().map(|module| paths::collect_paths(&module.items)).collect();
    let resolver = Resolver { modules, paths: &paths };
    let mut uses = Uses::new();
    for (module, paths) in paths.iter().enumerate() {
        let all = paths.imports.iter().map(|import| &import.path).chain(&paths.inline);
        let used = all.filter_map(|path| resolver.definition(module, path, 0));
        uses.extend(used.filter(|used| *used != module).map(|used| (module, used)));
    }
    uses
}

struct Resolver<'a> {
    modules: &'a [Module],
    paths: &'a [Paths],
}

impl Resolver<'_> {
    /// The module that defines what `path` names in `module`. `None` for other crates, local names and what the language has.
    fn definition(&self, module: usize, path: &[String], reexports: usize) -> Option<usize> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.follow(0, rest, reexports),
            "self" => self.follow(module, rest, reexports),
            "super" => self.definition(self.modules[module].parent?, &[&["self".to_owned()], rest].concat(), reexports),
            child => self.follow(self.child(module, child)?, rest, reexports),
        }
    }

    /// From `module` on.
    fn follow(&self, module: usize, path: &[String], reexports: usize) -> Option<usize> {
        let Some((first, rest)) = path.split_first() else { return Some(module) };
        if first == "super" {
            return self.follow(self.modules[module].parent?, rest, reexports);
        }
        if let Some(child) = self.child(module, first) {
            return self.follow(child, rest, reexports);
        }
        let imports = &self.paths[module].imports;
        let import = imports.iter().find(|import| import.name == *first).filter(|_| reexports < MAX_REEXPORTS);
        let target = import.and_then(|import| self.definition(module, &[&import.path, rest].concat(), reexports + 1));
        target.or(Some(module))
    }

    fn child(&self, module: usize, name: &str) -> Option<usize> {
        (module + 1..self.modules.len()).find(|child| self.modules[*child].parent == Some(module) && self.modules[*child].name == name)
    }
}
