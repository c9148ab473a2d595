//! The mount table, complete: what the configuration asks for, what masks and protects, and nothing else.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::{Map, Value, json};

use super::wishes::step;
use super::{Case, Wish, Wishes};

/// What a mount is made of by default, as the kernel words it.
const DEFAULTS: [&str; 2] = ["rw", "relatime"];

/// Each option of a configuration with what it shows and what it takes away.
const OPTIONS: [(&str, &str, &[&str]); 9] = [
    ("ro", "ro", &["rw"]),
    ("nosuid", "nosuid", &[]),
    ("nodev", "nodev", &[]),
    ("noexec", "noexec", &[]),
    ("nodiratime", "nodiratime", &[]),
    ("noatime", "noatime", &["relatime"]),
    ("strictatime", "", &["relatime"]),
    ("nosymfollow", "nosymfollow", &[]),
    ("rro", "ro", &["rw"]),
];

/// The prober's document with its mounts by their places instead of their order; a second one on a place is `PLACE#2`.
pub(super) fn by_place(mut document: Value) -> Value {
    let Value::Array(list) = document["mounts"].take() else { return document };
    let mut places = Places::default();
    for mut mount in list {
        let place = mount["at"].take();
        mount["options"] = sorted(&mount["options"]);
        mount.as_object_mut().map(|mount| mount.remove("at"));
        places.add(place.as_str().unwrap_or_default(), mount);
    }
    document["mounts"] = Value::Object(places.0);
    document
}

fn sorted(words: &Value) -> Value {
    let mut words: Vec<_> = words.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    words.sort_unstable();
    json!(words)
}

#[derive(Default)]
struct Places(Map<String, Value>);

impl Places {
    fn add(&mut self, place: &str, mount: Value) {
        let nth = |number: usize| if number == 1 { place.to_owned() } else { format!("{place}#{number}") };
        let free = (1..).map(nth).find(|name| !self.0.contains_key(name));
        self.0.extend(free.map(|name| (name, mount)));
    }
}

/// A mount that is foretold.
struct Mount {
    kind: Wish,
    options: Wish,
    supers: Wish,
    source: Wish,
    root: Wish,
}

impl Mount {
    fn on(self, place: &str, used: &mut BTreeMap<String, usize>, wishes: &mut Wishes) {
        let count = match used.entry(place.to_owned()) {
            Entry::Occupied(mut entry) => {
                *entry.get_mut() += 1;
                *entry.get()
            }
            Entry::Vacant(entry) => *entry.insert(1),
        };
        let name = if count == 1 { place.to_owned() } else { format!("{place}#{count}") };
        let place = format!("/mounts/{}", step(&name));
        for (part, wish) in [
            ("type", self.kind),
            ("options", self.options),
            ("super", self.supers),
            ("source", self.source),
            ("root", self.root),
        ] {
            wishes.wish(format!("{place}/{part}"), wish);
        }
        // A slave of a private mount is a private mount, and the harness's world has no other.
        wishes.is(&format!("{place}/propagation"), &json!([] as [&str; 0]));
    }
}

pub(super) fn foretell(case: &Case<'_>, wishes: &mut Wishes) {
    let used = &mut BTreeMap::new();
    root(case).on("/", used, wishes);
    for mount in case.list("/mounts") {
        asked(case, mount).on(mount["destination"].as_str().unwrap_or_default(), used, wishes);
    }
    if case.in_user_namespace() {
        for device in super::places::devices(case).iter().filter(|device| device.kind != "p") {
            covered_by_device(case, Wish::Something("as the host's /dev")).on(&device.path, used, wishes);
        }
    }
    for path in case.texts("/linux/readonlyPaths").filter(|path| case.is_there(path)) {
        protected(case, path).on(path, used, wishes);
    }
    for path in case.texts("/linux/maskedPaths").filter(|path| case.is_there(path)) {
        match case.caller.at(&format!("/files/{}/type", step(path))) == json!("d") {
            true => empty_directory().on(path, used, wishes),
            false => covered_by_device(case, Wish::Something("as the host's /dev")).on(path, used, wishes),
        }
    }
}

impl Case<'_> {
    /// Whether the caller's kernel has this file of /proc or /sys.
    fn is_there(&self, path: &str) -> bool {
        self.caller.at(&format!("/files/{}", step(path))).is_object()
    }

    /// The caller's mount that a path lies on.
    fn caller_mount(&self, path: &str) -> Value {
        let table = self.caller.at("/mounts");
        let covers = |mount: &&Value| {
            let at = mount["at"].as_str().unwrap_or_default();
            at == "/" || path == at || path.strip_prefix(at).is_some_and(|rest| rest.starts_with('/'))
        };
        let all = table.as_array().into_iter().flatten().filter(covers);
        all.max_by_key(|mount| mount["at"].as_str().map_or(0, str::len)).cloned().unwrap_or_default()
    }
}

/// The bundle lies where the tests put everything.
fn root(case: &Case<'_>) -> Mount {
    let below = case.caller_mount(&crate::test::text(crate::bundle::base()));
    let readonly: &[&str] = if case.flag("/root/readonly") { &["ro"] } else { &[] };
    Mount {
        kind: Wish::Is(below["type"].clone()),
        options: Wish::Is(with(&below["options"], readonly.iter().copied())),
        supers: Wish::Is(below["super"].clone()),
        source: Wish::Is(below["source"].clone()),
        root: Wish::Ends("/rootfs".into()),
    }
}

fn with<'a>(options: &Value, asked: impl Iterator<Item = &'a str>) -> Value {
    let mut words: Vec<String> =
        options.as_array().into_iter().flatten().filter_map(|word| Some(word.as_str()?.to_owned())).collect();
    for option in asked {
        if let Some((_, shown, gone)) = OPTIONS.iter().find(|(name, ..)| *name == option) {
            words.retain(|word| !gone.contains(&word.as_str()) && word != shown);
            words.extend((!shown.is_empty()).then(|| (*shown).to_owned()));
        }
    }
    sorted(&json!(words))
}

fn asked(case: &Case<'_>, mount: &Value) -> Mount {
    let options = mount["options"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let options: Vec<&str> = options.collect();
    if options.contains(&"bind") || options.contains(&"rbind") {
        return bound(case, mount, &options);
    }
    let kind = match mount["type"].as_str() {
        Some("cgroup") => "cgroup2",
        kind => kind.unwrap_or_default(),
    };
    // Numbers and modes are the file system's own; a tmpfs shows the size and mode that it was given.
    let shown = |option: &&str| kind == "tmpfs" && option.starts_with("size=");
    Mount {
        kind: Wish::Is(json!(kind)),
        options: Wish::Is(with(&json!(DEFAULTS), options.iter().copied())),
        supers: Wish::Has(
            options.iter().filter(|option| shown(option)).map(|&option| option.to_owned()).collect(),
        ),
        source: Wish::Is(mount["source"].clone()),
        root: Wish::Is(json!("/")),
    }
}

fn bound(case: &Case<'_>, mount: &Value, options: &[&str]) -> Mount {
    let path = mount["source"].as_str().unwrap_or_default();
    let below = case.caller_mount(path);
    Mount {
        kind: Wish::Is(below["type"].clone()),
        options: Wish::Is(with(&below["options"], options.iter().copied())),
        supers: Wish::Is(below["super"].clone()),
        source: Wish::Is(below["source"].clone()),
        root: Wish::Ends(path.to_owned()),
    }
}

fn protected(case: &Case<'_>, path: &str) -> Mount {
    let mounts = case.list("/mounts").filter_map(|mount| Some((mount["destination"].as_str()?, mount)));
    let below = mounts.filter(|(place, _)| path.starts_with(place)).max_by_key(|(place, _)| place.len());
    let Some((place, mount)) = below else {
        return root(case).readonly(path);
    };
    asked(case, mount).readonly(path.strip_prefix(place).unwrap_or(path))
}

impl Mount {
    fn readonly(self, path: &str) -> Self {
        let options = match &self.options {
            Wish::Is(options) => Wish::Is(with(options, ["ro"].into_iter())),
            other => other.clone(),
        };
        Self { options, root: Wish::Ends(path.to_owned()), ..self }
    }
}

fn empty_directory() -> Mount {
    Mount {
        kind: Wish::Is(json!("tmpfs")),
        options: Wish::Is(with(&json!(DEFAULTS), ["ro", "nosuid", "nodev", "noexec"].into_iter())),
        supers: Wish::Has(vec!["ro".into()]),
        source: Wish::Is(json!("tmpfs")),
        root: Wish::Is(json!("/")),
    }
}

/// A node of the host's, bound.
fn covered_by_device(case: &Case<'_>, options: Wish) -> Mount {
    let host = case.caller_mount("/dev/null");
    Mount {
        kind: Wish::Is(host["type"].clone()),
        options,
        supers: Wish::Is(host["super"].clone()),
        source: Wish::Is(host["source"].clone()),
        root: Wish::Something("a device's place in the host's /dev"),
    }
}
