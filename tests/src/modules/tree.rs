//! The modules of a crate, from its files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use syn::{Attribute, Item, ItemMod};

/// A module, with its own items. The first module is the crate's root.
pub struct Module {
    /// From the crate's root, which has the name of its crate.
    pub name: String,
    /// Index of the module that declares it.
    pub parent: Option<usize>,
    /// What it contains, apart from its child modules.
    pub items: Vec<Item>,
}

/// The modules of the crate whose root file is `root`, parents before their children.
pub fn parse(root: &Path) -> Vec<Module> {
    let mut modules = Vec::new();
    let directory = root.parent().expect("a file in a directory");
    add(&mut modules, "crate".into(), None, read(root), directory);
    modules
}

fn read(path: &Path) -> Vec<Item> {
    let source = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    syn::parse_file(&source).unwrap_or_else(|error| panic!("{}: {error}", path.display())).items
}

/// Adds a module whose children are in files of `directory`.
fn add(modules: &mut Vec<Module>, name: String, parent: Option<usize>, items: Vec<Item>, directory: &Path) {
    let (children, items): (Vec<_>, Vec<_>) =
        items.into_iter().filter(|item| !is_test(item)).partition(|item| matches!(item, Item::Mod(_)));
    let index = modules.len();
    modules.push(Module { name, parent, items });
    for child in children {
        let Item::Mod(ItemMod { ident, content, .. }) = child else { continue };
        let (name, directory) = (ident.to_string(), directory.join(ident.to_string()));
        let items = content.map_or_else(|| read(&file(&directory)), |(_, items)| items);
        add(modules, name, Some(index), items, &directory);
    }
}

/// The file of the module whose children are in `directory`.
fn file(directory: &Path) -> PathBuf {
    let beside = directory.with_extension("rs");
    if beside.exists() { beside } else { directory.join("mod.rs") }
}

fn is_test(item: &Item) -> bool {
    let attributes: &[Attribute] = match item {
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        _ => &[],
    };
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}
