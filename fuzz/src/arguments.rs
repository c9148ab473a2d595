//! Command lines.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use runtime_cli::understanding::{arguments, signal, size, time};

/// An argument a line, or a word of one: they are understood, or refused in a sentence with a status that isn't
/// success; and options mean the same however their values are attached.
pub(crate) fn line(bytes: &[u8]) {
    let words: Vec<OsString> =
        bytes.split(|byte| *byte == b'\n').map(|word| OsStr::from_bytes(word).to_owned()).collect();
    match arguments(&words) {
        Ok(verb) => assert!(verb.is_none_or(|verb| words.iter().any(|word| word == verb))),
        Err((sentence, status)) => {
            assert_ne!(status, 0, "{sentence}");
            assert!(!sentence.is_empty() && !sentence.contains('\n'), "{sentence:?}");
        }
    }
    words.iter().for_each(|word| value(&word.to_string_lossy()));
}

fn value(word: &str) {
    assert!(signal(word).is_none_or(|signal| (0..=64).contains(&signal)), "{word:?}");
    assert!(time(word).is_none_or(|time| !time.is_zero()), "{word:?}");
    assert!(size(word).is_none_or(|size| size >= -1), "{word:?}");
}
