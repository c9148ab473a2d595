//! Damaged variants of a config.json, for every test that feeds the runtime something wrong.
//!
//! Depends on serde_json alone, so that another crate can include it: `#[path = ".../mutants/mod.rs"] mod mutants;`.

use serde_json::{Map, Value, json};

/// A damaged document.
pub(crate) struct Mutant {
    /// What was done to which member, such as `null /process/cwd`.
    pub(crate) name: String,
    /// The document's text.
    pub(crate) text: Vec<u8>,
}

/// Every member and element of `document`, damaged in every way. Of long lists only the first and the last element are
/// taken.
pub(crate) fn mutants(document: &Value) -> Vec<Mutant> {
    let mut all = Vec::new();
    for pointer in pointers(document) {
        let value = document.pointer(&pointer).cloned().unwrap_or_default();
        all.push(mutant("missing", &pointer, without(document, &pointer)));
        all.push(duplicate(document, &pointer));
        for (how, value) in replacements(&value) {
            all.push(mutant(how, &pointer, with(document, &pointer, value)));
        }
    }
    all
}

fn mutant(how: &str, pointer: &str, document: Value) -> Mutant {
    Mutant { name: format!("{how} {pointer}"), text: document.to_string().into_bytes() }
}

fn replacements(value: &Value) -> Vec<(&'static str, Value)> {
    let mut all = vec![
        ("null", Value::Null),
        ("boolean for", json!(true)),
        ("string for", json!("\u{1}ä\n\"~/")),
        ("number for", json!(7)),
        ("fraction for", json!(0.5)),
        ("negative", json!(-1)),
        ("most negative", json!(i64::MIN)),
        ("largest", json!(u64::MAX)),
        ("one above u32", json!(1u64 << 32)),
        ("beyond any integer", json!(1e300)),
        ("array for", json!([[]])),
        ("object for", json!({ "": { "x": null } })),
        ("empty string for", json!("")),
        ("empty array for", json!([])),
        ("empty object for", json!({})),
        ("deep", deep()),
    ];
    if value.is_string() {
        all.push(("huge", json!("x".repeat(1 << 20))));
        all.push(("NUL in", json!("/a\0=b")));
    }
    if let Value::Array(list) = value {
        all.push((
            "huge",
            Value::Array(list.iter().cycle().take(5000.min(list.len() * 5000)).cloned().collect()),
        ));
    }
    all
}

fn deep() -> Value {
    (0..100)
        .fold(Value::Null, |inner, level| if level % 2 == 0 { json!([inner]) } else { json!({ "a": inner }) })
}

/// The pointers to everything in the document, except for the middle of long lists.
pub(crate) fn pointers(document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(document, "", &mut found);
    found
}

fn collect(value: &Value, at: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(key, member)| (escaped(key), member)).collect(),
        Value::Array(list) => {
            let last = list.len().saturating_sub(1);
            let ends = list.iter().enumerate().filter(|(index, _)| *index == 0 || *index == last);
            ends.map(|(index, element)| (index.to_string(), element)).collect()
        }
        _ => Vec::new(),
    };
    for (key, child) in children {
        let at = format!("{at}/{key}");
        found.push(at.clone());
        collect(child, &at, found);
    }
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn with(document: &Value, pointer: &str, value: Value) -> Value {
    let mut document = document.clone();
    if let Some(place) = document.pointer_mut(pointer) {
        *place = value;
    }
    document
}

fn without(document: &Value, pointer: &str) -> Value {
    let mut document = document.clone();
    match parent(&mut document, pointer) {
        (Some(Value::Object(members)), key) => drop(members.remove(&key)),
        (Some(Value::Array(list)), key) => drop(list.remove(key.parse().unwrap_or_default())),
        _ => {}
    }
    document
}

/// An element once more at the end of its list, or a member twice under the same name.
fn duplicate(document: &Value, pointer: &str) -> Mutant {
    const TWIN: &str = "the member's twin";
    let mut document = document.clone();
    let value = document.pointer(pointer).cloned().unwrap_or_default();
    let (parent, key) = parent(&mut document, pointer);
    match parent {
        Some(Value::Array(list)) => list.push(value),
        Some(Value::Object(members)) => drop(Map::insert(members, TWIN.into(), value)),
        _ => {}
    }
    let text = document.to_string().replace(&json!(TWIN).to_string(), &json!(key).to_string());
    Mutant { name: format!("duplicate {pointer}"), text: text.into_bytes() }
}

fn parent<'a>(document: &'a mut Value, pointer: &str) -> (Option<&'a mut Value>, String) {
    let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
    (document.pointer_mut(parent), key.replace("~1", "/").replace("~0", "~"))
}
