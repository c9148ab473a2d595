//! What came of all cases: a table for `specs/engines.md`, and whether ours keeps up with the reference.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::engines::Verdict;

/// One engine, driven with one runtime.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// The engine and its version.
    pub versions: String,
    /// The cases in their order.
    pub verdicts: Vec<(&'static str, Verdict)>,
}

impl Run {
    /// Takes over the verdicts of another run about the same cases.
    pub fn replace(&mut self, other: Run) {
        for (case, verdict) in other.verdicts {
            match self.verdicts.iter_mut().find(|(name, _)| *name == case) {
                Some((_, old)) => *old = verdict,
                None => self.verdicts.push((case, verdict)),
            }
        }
    }
}

/// An engine's runs, the reference first.
#[derive(Debug, Clone)]
pub struct Section {
    /// Its name.
    pub engine: &'static str,
    /// By the name of the runtime.
    pub runs: BTreeMap<&'static str, Run>,
}

/// What runs before the table.
const HEAD: &str = "# Engines

Written by `make test-engines`; changes by hand are lost. Each case is a function in `integration/tests/engines`, and
is run with a real engine that uses the runtime: once runc, as the reference, and once ours. The run fails if ours
fails where the reference passes. \"Not possible here\" names what the machine of the last run did not allow.
";

/// The table, as Markdown.
pub fn markdown(sections: &[Section], runtimes: &[(&'static str, String)]) -> String {
    let mut text = HEAD.to_owned();
    text.push('\n');
    for (name, version) in runtimes {
        let _ = writeln!(text, "* {name}: {version}");
    }
    for section in sections {
        let versions = section.runs.values().map(|run| run.versions.as_str()).max().unwrap_or_default();
        let _ = writeln!(text, "\n## {}\n\n{versions}\n", section.engine);
        let names: Vec<_> = runtimes.iter().map(|(name, _)| *name).collect();
        let _ = writeln!(text, "| case | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()));
        for case in cases(section) {
            let cells = names.iter().map(|name| cell(verdict(section, name, case)));
            let _ = writeln!(text, "| {case} | {} |", cells.collect::<Vec<_>>().join(" | "));
        }
    }
    text
}

/// The cases that ours did not pass and the reference did; without a reference, those that ours failed.
pub fn regressions(sections: &[Section], reference: &str, ours: &str) -> Vec<String> {
    let mut found = Vec::new();
    for section in sections {
        for case in cases(section) {
            let passed = |name| verdict(section, name, case) == Some(&Verdict::Passed);
            let failed = |name| matches!(verdict(section, name, case), Some(Verdict::Failed(_)));
            let worse = match section.runs.contains_key(reference) {
                true => passed(reference) && !passed(ours),
                false => failed(ours),
            };
            if worse {
                found.push(format!("{}: {case}", section.engine));
            }
        }
    }
    found
}

fn cases(section: &Section) -> Vec<&'static str> {
    let longest = section.runs.values().max_by_key(|run| run.verdicts.len());
    longest.map(|run| run.verdicts.iter().map(|(name, _)| *name).collect()).unwrap_or_default()
}

fn verdict<'a>(section: &'a Section, runtime: &str, case: &str) -> Option<&'a Verdict> {
    section.runs.get(runtime)?.verdicts.iter().find(|(name, _)| *name == case).map(|(_, verdict)| verdict)
}

fn cell(verdict: Option<&Verdict>) -> String {
    match verdict {
        Some(Verdict::Passed) => "passes".into(),
        Some(Verdict::Failed(_)) => "**fails**".into(),
        Some(Verdict::NotHere(why)) => format!("not possible here: {why}"),
        None => "not run".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Run, Section, markdown, regressions};
    use crate::engines::Verdict::{self, Failed, NotHere, Passed};

    fn section(reference: Verdict, ours: Verdict) -> Section {
        let run = |verdict| Run { versions: "engine 1".into(), verdicts: vec![("runs", verdict)] };
        Section { engine: "engine", runs: BTreeMap::from([("runc", run(reference)), ("ours", run(ours))]) }
    }

    #[test]
    fn a_second_attempt_counts() {
        let mut run =
            Run { versions: String::new(), verdicts: vec![("a", Failed("slow".into())), ("b", Passed)] };
        run.replace(Run { versions: String::new(), verdicts: vec![("a", Passed), ("c", Passed)] });
        assert_eq!(run.verdicts, [("a", Passed), ("b", Passed), ("c", Passed)]);
    }

    #[test]
    fn what_the_reference_passes_ours_must_pass() {
        let failed = || Failed("seen".into());
        let cases = [
            (Passed, Passed, 0),
            (Passed, failed(), 1),
            (Passed, NotHere("why".into()), 1),
            (failed(), failed(), 0),
            (failed(), Passed, 0),
        ];
        for (reference, ours, count) in cases {
            assert_eq!(regressions(&[section(reference, ours)], "runc", "ours").len(), count);
        }
    }

    #[test]
    fn without_a_reference_failures_count_and_excuses_do_not() {
        for (ours, count) in [(Passed, 0), (NotHere("why".into()), 0), (Failed("seen".into()), 1)] {
            let mut alone = section(Passed, ours);
            alone.runs.remove("runc");
            assert_eq!(regressions(&[alone], "runc", "ours").len(), count);
        }
    }

    #[test]
    fn the_table_has_a_row_for_each_case() {
        let runtimes = [("runc", "1".into()), ("ours", "2".into())];
        let text = markdown(&[section(Passed, NotHere("why".into()))], &runtimes);
        assert!(text.contains("| runs | passes | not possible here: why |"), "{text}");
    }
}
