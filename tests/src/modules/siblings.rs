//! The uses between the children of one module.

use std::collections::{BTreeMap, BTreeSet};

use super::{resolve::Uses, tree::Module};

/// The children of one module, and which of them use which others.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Siblings {
    /// Path of the parent from the crate's root, such as `crate::products`.
    pub parent: String,
    /// For each child, the children that it uses, and the modules in which it uses them.
    pub uses: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

/// Finds the siblings of all modules of a crate.
pub fn find_siblings(modules: &[Module], uses: &Uses) -> Vec<Siblings> {
    let mut all: BTreeMap<usize, Siblings> = BTreeMap::new();
    for module in modules {
        let Some(parent) = module.parent else { continue };
        let siblings = all.entry(parent).or_insert_with(|| Siblings { parent: path(modules, parent), ..Siblings::default() });
        siblings.uses.entry(module.name.clone()).or_default();
    }
    for (user, used) in uses {
        let by = format!("{} -> {}", path(modules, *user), path(modules, *used));
        let (users, used) = (ancestry(modules, *user), ancestry(modules, *used));
        let common = users.iter().zip(&used).take_while(|(user, used)| user == used).count();
        if let (Some(user), Some(used), Some(siblings)) = (users.get(common), used.get(common), all.get_mut(&users[common - 1])) {
            let uses = siblings.uses.entry(modules[*user].name.clone()).or_default();
            uses.entry(modules[*used].name.clone()).or_default().push(by);
        }
    }
    all.into_values().filter(|siblings| siblings.uses.len() > 1).collect()
}

/// From the crate's root down to the module.
fn ancestry(modules: &[Module], module: usize) -> Vec<usize> {
    let mut ancestry: Vec<_> = std::iter::successors(Some(module), |module| modules[*module].parent).collect();
    ancestry.reverse();
    ancestry
}

fn path(modules: &[Module], module: usize) -> String {
    ancestry(modules, module).iter().map(|module| modules[*module].name.as_str()).collect::<Vec<_>>().join("::")
}

impl Siblings {
    /// Returns the uses that belong to cycles, as `a -> b` with complete paths.
    pub fn cycles(&self) -> Vec<&str> {
        let cyclic = self.cyclic_modules();
        let uses = cyclic.iter().flat_map(|user| &self.uses[*user]);
        uses.filter(|(used, _)| cyclic.contains(&used.as_str())).flat_map(|(_, by)| by).map(String::as_str).collect()
    }

    /// Returns the modules that belong to a cycle or are between cycles.
    fn cyclic_modules(&self) -> Vec<&str> {
        let mut left: BTreeSet<_> = self.uses.keys().map(String::as_str).collect();
        loop {
            let uses_one_of = |name: &str| self.uses[name].keys().any(|used| left.contains(used.as_str()));
            let is_used = |name: &str| left.iter().any(|user| self.uses[*user].contains_key(name));
            let ends: Vec<_> = left.iter().copied().filter(|name| !uses_one_of(name) || !is_used(name)).collect();
            if ends.is_empty() {
                return left.into_iter().collect();
            }
            left.retain(|name| !ends.contains(name));
        }
    }

    /// A Mermaid flowchart. Transitive dependencies are omitted.
    pub fn flowchart(&self) -> String {
        let mut lines = vec!["flowchart TD".to_owned()];
        for (user, used) in &self.uses {
            let direct = used.keys().filter(|name| !used.keys().any(|other| other != *name && self.reaches(other, name)));
            lines.extend(direct.map(|name| format!("    {user} --> {name}")));
        }
        lines.join("\n")
    }

    /// Whether `user` uses `used`, directly or through others.
    fn reaches(&self, user: &str, used: &str) -> bool {
        let mut seen = BTreeSet::from([user]);
        let mut open = vec![user];
        while let Some(name) = open.pop() {
            for next in self.uses[name].keys() {
                if next == used {
                    return true;
                }
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
        false
    }
}
