//! What came out, as a page of the specification.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::{fs, io};

use super::{MUTANTS, workspace};

/// What became of a mutant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its test fails, and passes without it.
    Noticed,
    /// Its test passes all the same: it shows nothing.
    Survived,
    /// The compiler noticed.
    NoProgram(String),
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Noticed => f.write_str("noticed"),
            Verdict::Survived => f.write_str("survived"),
            Verdict::NoProgram(problem) => write!(f, "is no program: {problem}"),
        }
    }
}

const HEAD: &str = "# Mutants\n
Written by `make test-mutants`. Each line takes a defence out of a copy of the source; the test that is named has to
fail then, and to pass with everything in its place. Why there are no switches instead:
[0021](decisions/0021-mutants.md).

| defence | what is taken out | in | the test that notices | result |
|---|---|---|---|---|
";

pub(super) fn write(verdicts: &BTreeMap<usize, Verdict>) -> io::Result<()> {
    let line = |(place, verdict): (&usize, &Verdict)| {
        let mutant = &MUTANTS[*place];
        let result = verdict.to_string();
        let (program, function) = mutant.test;
        let result = result.lines().next().unwrap_or_default();
        format!(
            "| {} | {} | {} | {program}: `{function}` | {result} |\n",
            mutant.defence, mutant.loss, mutant.file
        )
    };
    let lines: String = verdicts.iter().map(line).collect();
    fs::write(workspace().join("specs/mutants.md"), format!("{HEAD}{lines}"))
}
