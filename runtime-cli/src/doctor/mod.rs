//! What this machine offers to containers, what is missing, and what to do about it.

mod bundle;
mod host;

use std::fs;
use std::path::Path;

use serde::Serialize;

pub(crate) use bundle::examine as examine_bundle;
pub(crate) use host::{Facts, examine as examine_host};

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// As it should be.
    Good,
    /// Some containers will miss it.
    Fair,
    /// Nothing works without it.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What.
    pub(crate) subject: String,
    /// How it is.
    pub(crate) verdict: Verdict,
    /// What was found.
    pub(crate) found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) advice: Option<String>,
}

impl Finding {
    fn good(subject: &str, found: impl Into<String>) -> Self {
        Finding { subject: subject.into(), verdict: Verdict::Good, found: found.into(), advice: None }
    }

    fn fair(subject: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Finding { verdict: Verdict::Fair, advice: Some(advice.into()), ..Finding::good(subject, found) }
    }

    fn bad(subject: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Finding { verdict: Verdict::Bad, ..Finding::fair(subject, found, advice) }
    }
}

/// Names in a row, or a word for none.
fn list<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// The content of a file of the kernel's, without the line's end.
fn read(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim_end().to_owned())
}
