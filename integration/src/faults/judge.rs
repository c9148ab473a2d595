//! What is right and what is wrong with the end of a command.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use serde_json::Value;

use super::keeper::Done;

/// What the prober reports when nothing goes wrong, without what differs from one time to the next.
#[derive(Debug, Clone)]
pub struct Reference(Value);

impl Reference {
    /// What two reports have in common.
    pub fn of(first: &Value, second: &Value) -> Self {
        Self(common(first, second))
    }

    /// Where a report is another one.
    pub fn differences(&self, report: &Value) -> Vec<String> {
        let mut found = Vec::new();
        compare(&self.0, report, "", &mut found);
        found
    }
}

/// The report in what a program has said, in words that are the same for every container.
pub fn report(said: &str, id: &str) -> Option<Value> {
    let line = said.lines().map(str::trim).find(|line| line.starts_with('{'))?;
    let mut report: Value = serde_json::from_str(&line.replace(id, "ID")).ok()?;
    for (kind, link) in report["namespaces"].as_object_mut()? {
        let ours = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap_or_default();
        *link = if link.as_str() == ours.to_str() { "ours".into() } else { "another".into() };
    }
    // Which processes the host has is not up to the container, nor is the order in which the kernel lists mounts.
    if let Some(traits) = report["traits"].as_object_mut() {
        traits.remove("processes");
    }
    if let Some(mounts) = report["mounts"].as_array_mut() {
        mounts.sort_by_cached_key(ToString::to_string);
    }
    Some(report)
}

/// What differs is null, which equals anything.
fn common(first: &Value, second: &Value) -> Value {
    match (first, second) {
        (Value::Object(one), Value::Object(other)) => {
            let entry = |(key, value): (&String, &Value)| (key.clone(), common(value, &other[key]));
            Value::Object(one.iter().filter(|(key, _)| other.contains_key(*key)).map(entry).collect())
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            Value::Array(one.iter().zip(other).map(|(one, other)| common(one, other)).collect())
        }
        _ if first == second => first.clone(),
        _ => Value::Null,
    }
}

fn compare(reference: &Value, report: &Value, place: &str, found: &mut Vec<String>) {
    match (reference, report) {
        (Value::Null, _) => {}
        (Value::Object(one), Value::Object(other)) => {
            for (key, value) in one {
                compare(value, other.get(key).unwrap_or(&Value::Null), &format!("{place}/{key}"), found);
            }
            let more = other.keys().filter(|key| !one.contains_key(*key));
            found.extend(more.map(|key| format!("{place}/{key} is new")));
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let pairs = one.iter().zip(other).enumerate();
            pairs.for_each(|(at, (one, other))| compare(one, other, &format!("{place}/{at}"), found));
        }
        _ if reference == report => {}
        // What the specification leaves open, and init promises where there is no home to be found.
        _ if place.starts_with("/env/") && report == "HOME=/" => {}
        _ => found.push(format!("{place} is {report}, not {reference}")),
    }
}

/// What no end of a command may look like.
pub fn never(done: &Done) -> Vec<String> {
    let mut wrong = Vec::new();
    if done.status.is_none() {
        wrong.push("hangs".to_owned());
    }
    if done.stderr.contains("panicked at") {
        wrong.push(format!("panics: {}", done.stderr.trim()));
    }
    wrong
}

/// What a failure has to be: said in a sentence. Death is none, unless there was no memory to live in.
pub fn failure(done: &Done, may_die: bool) -> Vec<String> {
    let Some(status) = done.status else { return Vec::new() };
    match status.signal() {
        Some(_) if may_die => Vec::new(),
        Some(signal) => vec![format!("is ended by signal {signal}: {}", done.stderr.trim())],
        None if may_die || says_something(&done.stderr) => Vec::new(),
        None => vec![format!("fails without a sentence: {:?}", done.stderr)],
    }
}

fn says_something(stderr: &str) -> bool {
    stderr.lines().any(|line| line.split_whitespace().count() > 2)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Reference, report};

    #[test]
    fn what_differs_from_time_to_time_is_not_compared() {
        let reference =
            Reference::of(&json!({"a": 1, "pid": 7, "l": [1, 2]}), &json!({"a": 1, "pid": 8, "l": [1, 3]}));
        assert!(reference.differences(&json!({"a": 1, "pid": 9, "l": [1, 4]})).is_empty());
        assert_eq!(reference.differences(&json!({"a": 2, "pid": 9, "l": [2, 4]})).len(), 2);
        assert_eq!(reference.differences(&json!({"a": 1, "pid": 9, "l": [1]})).len(), 1);
        assert_eq!(reference.differences(&json!({"a": 1, "pid": 9, "l": [1, 2], "more": 1})).len(), 1);
    }

    #[test]
    fn a_report_is_found_among_other_words() {
        let said = "hello\r\n{\"cgroup\":\"/x-1/c\",\"namespaces\":{\"pid\":\"pid:[1]\"},\
            \"traits\":{\"processes\":[1],\"threads\":1},\"mounts\":[\"b\",\"a\"]}\r\n";
        let found = report(said, "x-1").unwrap();
        let expected = json!({
            "cgroup": "/ID/c", "namespaces": {"pid": "another"}, "traits": {"threads": 1}, "mounts": ["a", "b"],
        });
        assert_eq!(found, expected);
        assert!(report("nothing", "x-1").is_none());
    }
}
