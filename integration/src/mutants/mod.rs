//! Checks that can fail: for each defence, a replacement that takes it out of a copy of the source, and a test that
//! notices. The product itself has no switch by which a defence could be turned off.

mod build;
mod mixtures;
mod page;
mod room;
mod run;
mod table;

use std::path::{Path, PathBuf};

pub use run::run;
pub use table::MUTANTS;

/// A defence that is taken out.
#[derive(Debug, Clone, Copy)]
pub struct Mutant {
    /// Its number in the list of defences, `D1` to `D22`.
    pub defence: &'static str,
    /// What the mutant no longer does.
    pub loss: &'static str,
    /// A file of the source, from the workspace on.
    pub file: &'static str,
    /// A text that the file has exactly once.
    pub find: &'static str,
    /// What stands there instead.
    pub replace: &'static str,
    /// The test that has to fail then: a test program and a function of it.
    pub test: (&'static str, &'static str),
}

impl Mutant {
    /// Takes the defence out of a file's text.
    ///
    /// # Errors
    /// The text isn't there exactly once.
    pub fn apply(&self, text: &str) -> Result<String, String> {
        match text.matches(self.find).count() {
            1 => Ok(text.replacen(self.find, self.replace, 1)),
            count => {
                Err(format!("{} has {count} times what {} {} replaces", self.file, self.defence, self.loss))
            }
        }
    }
}

/// The workspace that this was built from.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a member lies in its workspace").to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;

    use super::*;

    fn read(path: &str) -> String {
        fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    #[test]
    fn each_replacement_fits_the_source_and_none_is_in_the_way_of_another() {
        let mut files: BTreeMap<&str, String> = BTreeMap::new();
        for mutant in MUTANTS {
            let text = files.entry(mutant.file).or_insert_with(|| read(mutant.file));
            assert_ne!(mutant.find, mutant.replace);
            *text = mutant.apply(text).unwrap_or_else(|problem| panic!("{problem}"));
        }
    }

    #[test]
    fn every_defence_has_one_and_every_test_is_there() {
        let covered: BTreeSet<&str> = MUTANTS.iter().map(|mutant| mutant.defence).collect();
        let missing: Vec<String> = (1..=22)
            .map(|number| format!("D{number}"))
            .filter(|one| !covered.contains(one.as_str()))
            .collect();
        assert!(missing.is_empty(), "no mutant for {missing:?}");
        for Mutant { test: (program, function), .. } in MUTANTS {
            let source = read(&format!("integration/tests/{program}.rs"));
            assert!(source.contains(&format!("fn {function}()")), "{program} has no test {function}");
        }
    }
}
