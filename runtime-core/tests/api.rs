//! The public interface, written down: whoever changes it sees so, and changes `specs/api.txt` as well.
//!
//! `UPDATE_API=1 cargo test -p runtime-core --test api` writes it. What a macro makes (the steps, in `specs/steps.md`) isn't in it.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use quote::ToTokens;
use syn::{Attribute, Fields, ImplItem, Item, ItemImpl, ItemMod, Type, UseTree, Visibility, parse_quote};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../specs/api.txt");

const HEAD: &str = "\
//! The public interface of `runtime-core`, as it is promised: types, functions without their bodies, traits that are
//! implemented. Written by `UPDATE_API=1 cargo test -p runtime-core --test api`, which otherwise compares it.

";

#[test]
fn the_interface_is_the_one_that_was_promised() {
    let now = HEAD.to_owned() + &Crate::read().interface();
    if std::env::var_os("UPDATE_API").is_some() {
        fs::write(PAGE, &now).unwrap();
    }
    let promised = fs::read_to_string(PAGE).unwrap_or_default();
    let differs = now.lines().zip(promised.lines()).find(|(now, promised)| now != promised);
    assert!(now == promised, "the interface differs from {PAGE}, first here: {differs:#?}");
}

type Place = Vec<String>;

/// All modules by their paths.
struct Crate(BTreeMap<Place, Vec<Item>>);

/// What a path leads to.
enum Found {
    Module(Place),
    /// The module that defines it, and its name.
    Item(Place, String),
}

impl Crate {
    fn read() -> Self {
        let mut modules = Self(BTreeMap::new());
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        modules.read_file(&source.join("lib.rs"), &source, Vec::new());
        modules
    }

    fn read_file(&mut self, file: &Path, below: &Path, place: Place) {
        let text = fs::read_to_string(file).unwrap();
        self.add(syn::parse_file(&text).unwrap().items, below, place);
    }

    fn add(&mut self, items: Vec<Item>, below: &Path, place: Place) {
        let items: Vec<Item> = items.into_iter().filter(|item| !is_for_tests(attributes(item))).collect();
        for item in &items {
            let Item::Mod(ItemMod { ident, content, attrs, .. }) = item else { continue };
            let name = ident.to_string();
            let (inner, below) = ([place.clone(), vec![name.clone()]].concat(), below.join(&name));
            match content {
                Some((_, items)) => self.add(items.clone(), &below, inner),
                None => self.read_file(&file_of(attrs, &below), &below, inner),
            }
        }
        self.0.insert(place, items);
    }

    fn interface(&self) -> String {
        let mut text = String::new();
        self.tell(&Vec::new(), &mut text);
        text
    }

    fn tell(&self, place: &Place, text: &mut String) {
        let mut inner = Vec::new();
        let mut lines = Vec::new();
        for item in &self.0[place] {
            match item {
                Item::Mod(module) if is_public(&module.vis) => {
                    inner.push([place.clone(), vec![module.ident.to_string()]].concat());
                }
                Item::Use(one) if is_public(&one.vis) => {
                    for (path, name) in leaves(&one.tree, Vec::new()) {
                        match self.find(place, &path, 0) {
                            Some(Found::Item(at, of)) => lines.extend(self.item(&at, &of)),
                            Some(Found::Module(_)) | None => {
                                lines.push(format!("pub use {} as {name};\n", path.join("::")))
                            }
                        }
                    }
                }
                _ => lines.extend(name_of(item).and_then(|name| self.item(place, &name))),
            }
        }
        lines.sort();
        if !lines.is_empty() {
            *text += &format!(
                "// {}\n\n{}\n",
                ["runtime_core", &place.join("::")].join("::").trim_end_matches("::"),
                lines.join("\n")
            );
        }
        inner.iter().for_each(|place| self.tell(place, text));
    }

    /// An item with all that is implemented for it.
    fn item(&self, place: &Place, name: &str) -> Option<String> {
        let item = self.0[place].iter().find(|item| name_of(item).as_deref() == Some(name))?;
        let mut told = vec![shown(bare(item)?)];
        let mut implemented = Vec::new();
        for (at, items) in &self.0 {
            for one in items {
                let Item::Impl(block) = one else { continue };
                let Type::Path(subject) = &*block.self_ty else { continue };
                let path: Place = subject.path.segments.iter().map(|part| part.ident.to_string()).collect();
                if let Some(Found::Item(of, which)) = self.find(at, &path, 0)
                    && of == *place
                    && which == name
                {
                    implemented.extend(interface_of(block).map(shown));
                }
            }
        }
        implemented.sort();
        told.extend(implemented);
        Some(told.concat())
    }

    fn find(&self, from: &Place, path: &[String], depth: usize) -> Option<Found> {
        let (first, rest) = path.split_first()?;
        let inner = |name: &str| [from.clone(), vec![name.to_owned()]].concat();
        let start = match first.as_str() {
            "crate" => Found::Module(Vec::new()),
            "self" => Found::Module(from.clone()),
            "super" => Found::Module(from.split_last()?.1.to_vec()),
            name if self.0.contains_key(&inner(name)) => Found::Module(inner(name)),
            name if self.0[from].iter().any(|item| name_of(item).as_deref() == Some(name)) => {
                Found::Item(from.clone(), name.to_owned())
            }
            name => {
                let uses = self.0[from]
                    .iter()
                    .filter_map(|item| if let Item::Use(one) = item { Some(one) } else { None });
                let named =
                    uses.flat_map(|one| leaves(&one.tree, Vec::new())).find(|(_, called)| called == name)?;
                // What comes from elsewhere seems to come from here.
                if depth > 8 || named.0 == path {
                    return None;
                }
                self.find(from, &named.0, depth + 1)?
            }
        };
        match (start, rest) {
            (found, []) => Some(found),
            (Found::Module(place), rest) => self.find(&place, rest, depth + 1),
            (Found::Item(..), _) => None,
        }
    }
}

fn file_of(attributes: &[Attribute], below: &Path) -> PathBuf {
    let path = attributes.iter().find(|one| one.path().is_ident("path"));
    if let Some(attribute) = path {
        let text = attribute.meta.require_name_value().unwrap().value.to_token_stream().to_string();
        return below.parent().unwrap().join(text.trim_matches('"'));
    }
    let file = below.with_extension("rs");
    if file.exists() { file } else { below.join("mod.rs") }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes
        .iter()
        .any(|one| one.path().is_ident("cfg") && one.to_token_stream().to_string().contains("test"))
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Each name that a `use` brings, with the path that it comes from.
fn leaves(tree: &UseTree, above: Place) -> Vec<(Place, String)> {
    let below = |name: &syn::Ident| [above.clone(), vec![name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => leaves(&path.tree, below(&path.ident)),
        UseTree::Name(name) if name.ident == "self" => vec![(above.clone(), above.last().unwrap().clone())],
        UseTree::Name(name) => vec![(below(&name.ident), name.ident.to_string())],
        UseTree::Rename(name) => vec![(below(&name.ident), name.rename.to_string())],
        UseTree::Group(group) => group.items.iter().flat_map(|tree| leaves(tree, above.clone())).collect(),
        UseTree::Glob(_) => Vec::new(),
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn name_of(item: &Item) -> Option<String> {
    let (visibility, name) = match item {
        Item::Const(item) => (&item.vis, &item.ident),
        Item::Enum(item) => (&item.vis, &item.ident),
        Item::Fn(item) => (&item.vis, &item.sig.ident),
        Item::Static(item) => (&item.vis, &item.ident),
        Item::Struct(item) => (&item.vis, &item.ident),
        Item::Trait(item) => (&item.vis, &item.ident),
        Item::Type(item) => (&item.vis, &item.ident),
        _ => return None,
    };
    is_public(visibility).then(|| name.to_string())
}

/// Without what nobody outside can see.
fn bare(item: &Item) -> Option<Item> {
    let mut item = item.clone();
    match &mut item {
        Item::Const(item) => {
            keep(&mut item.attrs);
            item.expr = parse_quote!(..);
        }
        Item::Static(item) => {
            keep(&mut item.attrs);
            item.expr = parse_quote!(..);
        }
        Item::Fn(item) => {
            keep(&mut item.attrs);
            item.block = parse_quote!({});
        }
        Item::Struct(item) => {
            keep(&mut item.attrs);
            strip(&mut item.fields);
        }
        Item::Enum(item) => {
            keep(&mut item.attrs);
            for variant in &mut item.variants {
                keep(&mut variant.attrs);
                variant.fields.iter_mut().for_each(|field| keep(&mut field.attrs));
            }
        }
        Item::Trait(item) => {
            keep(&mut item.attrs);
            for one in &mut item.items {
                if let syn::TraitItem::Fn(function) = one {
                    keep(&mut function.attrs);
                    function.default = function.default.as_ref().map(|_| parse_quote!({}));
                }
            }
        }
        Item::Type(item) => keep(&mut item.attrs),
        _ => return None,
    }
    Some(item)
}

/// What callers depend on.
fn keep(attributes: &mut Vec<Attribute>) {
    attributes
        .retain(|one| ["derive", "non_exhaustive", "must_use"].iter().any(|name| one.path().is_ident(name)));
    // The reason is for people.
    for one in attributes.iter_mut().filter(|one| one.path().is_ident("must_use")) {
        *one = parse_quote!(#[must_use]);
    }
}

fn strip(fields: &mut Fields) {
    if let Fields::Named(named) = fields {
        let public = named.named.iter().filter(|field| is_public(&field.vis)).cloned();
        named.named = public.collect();
        named.named.iter_mut().for_each(|field| keep(&mut field.attrs));
    }
}

fn interface_of(block: &ItemImpl) -> Option<Item> {
    let mut block = block.clone();
    keep(&mut block.attrs);
    if block.trait_.is_some() {
        block.items.clear();
        return Some(Item::Impl(block));
    }
    block.items.retain(|item| match item {
        ImplItem::Fn(item) => is_public(&item.vis),
        ImplItem::Const(item) => is_public(&item.vis),
        _ => false,
    });
    for item in &mut block.items {
        match item {
            ImplItem::Fn(item) => {
                keep(&mut item.attrs);
                item.block = parse_quote!({});
            }
            ImplItem::Const(item) => {
                keep(&mut item.attrs);
                item.expr = parse_quote!(..);
            }
            _ => {}
        }
    }
    (!block.items.is_empty()).then_some(Item::Impl(block))
}

fn shown(item: Item) -> String {
    prettyplease::unparse(&syn::File { shebang: None, attrs: Vec::new(), items: vec![item] })
}
