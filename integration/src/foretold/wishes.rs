//! Values that are foretold, by their place in the prober's document, and the comparison.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What a value should be.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// This one.
    Is(Value),
    /// Another one: a namespace that is new.
    IsNot(Value),
    /// A text with this end.
    Ends(String),
    /// A list that has these among others.
    Has(Vec<String>),
    /// Whatever the kernel made of it; the reason why it can't be foretold.
    Something(&'static str),
}

impl Wish {
    fn is_met(&self, seen: &Value) -> bool {
        match self {
            Wish::Is(wanted) => wanted == seen,
            Wish::IsNot(unwanted) => unwanted != seen && seen.is_string(),
            Wish::Ends(end) => seen.as_str().is_some_and(|text| text.ends_with(end)),
            Wish::Has(words) => {
                let seen: BTreeSet<_> =
                    seen.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                words.iter().all(|word| seen.contains(word.as_str()))
            }
            Wish::Something(_) => true,
        }
    }
}

/// All that is foretold.
#[derive(Debug, Default)]
pub struct Wishes(BTreeMap<String, Wish>);

impl Wishes {
    /// How many values are foretold.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Foretells the value at a place, in a later word's favour.
    pub fn wish(&mut self, place: impl Into<String>, wish: Wish) {
        self.0.insert(place.into(), wish);
    }

    /// Foretells a value, with all that is in it.
    pub fn is(&mut self, place: &str, value: &Value) {
        for (place, value) in flat(place, value) {
            self.wish(place, Wish::Is(value));
        }
    }

    /// Every place where what is seen is not what was foretold, or was not foretold at all; none is as it should be.
    pub fn differences(&self, seen: &Value) -> Vec<String> {
        let seen = flat("", seen);
        let mut differences: Vec<String> = Vec::new();
        for (place, value) in &seen {
            match self.0.get(place) {
                None => differences.push(format!("{place}: sees {value}, which nobody has foretold")),
                Some(wish) if !wish.is_met(value) => {
                    differences.push(format!("{place}: sees {value}, foretold was {wish:?}"));
                }
                Some(_) => {}
            }
        }
        let missing = self.0.iter().filter(|(place, _)| !seen.contains_key(*place));
        differences
            .extend(missing.map(|(place, wish)| format!("{place}: is not there, foretold was {wish:?}")));
        differences
    }
}

/// A document as places and what is there: texts, numbers, lists of them, empty objects.
fn flat(place: &str, value: &Value) -> BTreeMap<String, Value> {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(members) if !members.is_empty() => {
            let escaped = |name: &String| name.replace('~', "~0").replace('/', "~1");
            members.iter().map(|(name, value)| (escaped(name), value)).collect()
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
        }
        _ => return BTreeMap::from([(place.to_owned(), value.clone())]),
    };
    inner.iter().flat_map(|(name, value)| flat(&format!("{place}/{name}"), value)).collect()
}

/// A name as it stands in a place.
pub(super) fn step(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn differences(foretold: &Value, seen: &Value) -> usize {
        let mut wishes = Wishes::default();
        wishes.is("", foretold);
        wishes.differences(seen).len()
    }

    #[test]
    fn whatever_is_other_more_or_less_is_a_difference() {
        let world =
            json!({"ids": {"uid": 0, "groups": [1, 2]}, "mounts": [{"at": "/"}], "a/b": "x", "none": {}});
        assert_eq!(differences(&world, &world), 0);
        let mut changed = world.clone();
        for (pointer, value) in [
            ("/ids/uid", json!(1)),
            ("/ids/groups", json!([2, 1])),
            ("/mounts/0/at", json!("/x")),
            ("/a~1b", json!(0)),
        ] {
            let place = changed.pointer_mut(pointer).expect("it is there");
            let former = std::mem::replace(place, value);
            assert_eq!(differences(&world, &changed), 1, "{pointer}");
            *changed.pointer_mut(pointer).expect("it is there") = former;
        }
        let more = json!({"ids": {"uid": 0, "groups": [1, 2], "gid": 0}, "mounts": [{"at": "/"}, {"at": "/x"}], "a/b": "x", "none": {}});
        assert_eq!((differences(&world, &more), differences(&more, &world)), (2, 2));
    }

    #[test]
    fn wishes_can_fail() {
        for (wish, met, unmet) in [
            (Wish::IsNot(json!("mnt:[1]")), json!("mnt:[2]"), json!("mnt:[1]")),
            (Wish::IsNot(json!("mnt:[1]")), json!("mnt:[2]"), json!(null)),
            (Wish::Ends(".out".into()), json!("/x.out"), json!("/x.err")),
            (Wish::Has(vec!["ro".into()]), json!(["rw", "ro"]), json!(["rw"])),
        ] {
            assert!(wish.is_met(&met) && !wish.is_met(&unmet), "{wish:?}");
        }
    }
}
