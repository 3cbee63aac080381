//! The paths that a module contains.

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Item, ItemUse, Macro, UseTree,
    visit::{self, Visit},
};

/// A `use` of one item.
pub struct Import {
    /// The path that is used.
    pub path: Vec<String>,
    /// The name of the item in the module, which other modules can use, or `*` for all items.
    pub name: String,
}

/// The paths that a module uses.
#[derive(Default)]
pub struct Paths {
    /// Paths of `use` items.
    pub imports: Vec<Import>,
    /// Paths in other code.
    pub inline: Vec<Vec<String>>,
}

/// Collects the paths of a module's items.
pub fn collect_paths(items: &[Item]) -> Paths {
    let mut paths = Paths::default();
    for item in items {
        paths.visit_item(item);
    }
    paths
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.add(&item.tree, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.inline.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        self.add_tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }
}

impl Paths {
    fn add(&mut self, tree: &UseTree, before: &mut Vec<String>) {
        let mut import = |segment: String, name: String| {
            // `use a::{self}` is `a`.
            let path = before.iter().cloned().chain((segment != "self").then_some(segment)).collect::<Vec<_>>();
            let name = if name == "self" { path.last().cloned().unwrap_or_default() } else { name };
            self.imports.push(Import { path, name });
        };
        match tree {
            UseTree::Name(tree) => import(tree.ident.to_string(), tree.ident.to_string()),
            UseTree::Rename(tree) => import(tree.ident.to_string(), tree.rename.to_string()),
            UseTree::Glob(_) => self.imports.push(Import { path: before.clone(), name: "*".into() }),
            UseTree::Path(tree) => {
                before.push(tree.ident.to_string());
                self.add(&tree.tree, before);
                before.pop();
            }
            UseTree::Group(tree) => tree.items.iter().for_each(|tree| self.add(tree, before)),
        }
    }

    /// The paths from `crate` in the tokens of a macro.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Option<Vec<String>> = None;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if ident == "crate" => path = Some(vec!["crate".into()]),
                TokenTree::Ident(ident) => path.iter_mut().for_each(|path| path.push(ident.to_string())),
                TokenTree::Punct(punct) if punct.as_char() == ':' => {}
                other => {
                    self.inline.extend(path.take());
                    if let TokenTree::Group(group) = other {
                        self.add_tokens(group.stream());
                    }
                }
            }
        }
        self.inline.extend(path);
    }
}
