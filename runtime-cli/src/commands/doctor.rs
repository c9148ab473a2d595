//! `doctor`: whether containers can be made here, and what to do if not.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, value_parser};

use super::{Session, Verb};
use crate::args::{format, path_of, text_of};
use crate::doctor::{Facts, Finding, Verdict, examine_bundle, examine_host};
use crate::failure::Failure;
use crate::{absolute, naming, output};
use runtime_core::ContainerId;

pub(super) const VERB: Verb = Verb {
    name: "doctor",
    about: "Tell what this machine offers, and what a bundle would miss",
    arguments: |table| {
        table.args([
            format("text"),
            Arg::new("BUNDLE").value_parser(value_parser!(PathBuf)).help("A directory with config.json"),
        ])
    },
    run,
};

fn run(matches: &ArgMatches, _: &Session<'_>) -> Result<u8, Failure> {
    let facts = Facts::gather()?;
    let mut findings = examine_host(&facts);
    if let Some(bundle) = path_of(matches, "BUNDLE") {
        let bundle = absolute(bundle)?;
        findings.extend(examine_bundle(&bundle, &ContainerId::new(naming::base(&bundle))?, &facts));
    }
    match text_of(matches, "format") {
        "json" => output::print_pretty(&findings)?,
        _ => output::print(&report(&findings))?,
    }
    match findings.iter().filter(|finding| finding.verdict == Verdict::Bad).count() {
        0 => Ok(0),
        1 => Err(Failure::Refused("one thing has to be put right before this works".into())),
        count => Err(Failure::Refused(format!("{count} things have to be put right before this works"))),
    }
}

fn report(findings: &[Finding]) -> String {
    let word = |verdict| match verdict {
        Verdict::Good => "good",
        Verdict::Fair => "note",
        Verdict::Bad => "MISSING",
    };
    let rows = findings.iter().flat_map(|finding| {
        let row = [word(finding.verdict).into(), finding.subject.clone(), finding.found.clone()];
        let advice =
            finding.advice.iter().map(|advice| [String::new(), String::new(), format!("→ {advice}")]);
        std::iter::once(row).chain(advice)
    });
    output::columns(&rows.collect::<Vec<_>>())
}
