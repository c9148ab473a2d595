//! No document makes the parser panic, and every refusal says where and what in one sentence.

mod mutants;

use std::panic::catch_unwind;

use mutants::{Mutant, mutants, pointers};
use runtime_core::Spec;
use runtime_core::error::ConfigError;
use serde_json::Value;

const FULL: &str = include_str!("data/full.json");

#[test]
fn the_full_document_is_valid_without_a_warning() {
    let spec = Spec::parse(FULL.into()).unwrap();
    assert_eq!(spec.warnings(), []);
}

#[test]
fn damaged_documents_are_refused_in_one_sentence_or_accepted() {
    let document: Value = serde_json::from_str(FULL).unwrap();
    let mutants = mutants(&document);
    assert!(mutants.len() > 2000, "{} mutants", mutants.len());
    let refused = mutants.iter().filter(|mutant| !survives(mutant)).count();
    assert!(refused * 2 > mutants.len(), "only {refused} of {} were refused", mutants.len());
}

/// Whether the mutant is accepted; a refusal has to be a good one.
fn survives(mutant: &Mutant) -> bool {
    let text = mutant.text.clone();
    let result = catch_unwind(|| Spec::parse(text));
    assert!(result.is_ok(), "{}: panic", mutant.name);
    let Ok(result) = result else { return false };
    match result {
        Ok(spec) => {
            assert_eq!(spec.raw(), mutant.text);
            spec.warnings().iter().for_each(|warning| assert_sentence(warning, &mutant.name));
            true
        }
        Err(error) => {
            assert_sentence(&error, &mutant.name);
            assert!(error.pointer.as_str().starts_with('/'), "{}: {error}", mutant.name);
            false
        }
    }
}

fn assert_sentence(error: &ConfigError, name: &str) {
    let text = error.to_string();
    let good = text.len() < 1000
        && !text.contains(char::is_control)
        && !text.ends_with('.')
        && !error.problem.is_empty();
    assert!(good, "{name}: {text}");
}

#[test]
fn a_wrong_type_is_reported_where_it_is() {
    let document: Value = serde_json::from_str(FULL).unwrap();
    for pointer in pointers(&document) {
        // Members that are ignored, may be of any type, or are no element that has one of its own.
        if pointer.starts_with("/vm") || pointer == "/annotations" {
            continue;
        }
        let mut damaged = document.clone();
        *damaged.pointer_mut(&pointer).unwrap() = serde_json::json!([[false]]);
        let error = Spec::parse(damaged.to_string().into_bytes()).expect_err(&pointer);
        assert!(error.pointer.as_str().starts_with(&pointer), "{pointer}: {error}");
    }
}

#[test]
fn cut_documents_are_refused() {
    for end in (0..FULL.trim_end().len()).step_by(41) {
        let text = FULL.get(..end).unwrap_or_default();
        let error = Spec::parse(text.into()).unwrap_err();
        assert_sentence(&error, &format!("cut at {end}"));
    }
}

#[test]
fn changed_bytes_do_no_harm() {
    let mut bytes = FULL.as_bytes().to_vec();
    for at in (0..bytes.len()).step_by(7) {
        for wrong in [0, b'"', b'}', b'9', 0xff] {
            let right = std::mem::replace(&mut bytes[at], wrong);
            let result = Spec::parse(bytes.clone());
            bytes[at] = right;
            if let Err(error) = result {
                assert_sentence(&error, &format!("byte {at} = {wrong}"));
            }
        }
    }
}
