//! `plan`: what would happen, step by step, without doing it.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, value_parser};

use super::{Session, Verb, open_bundle};
use crate::args::{flag, format, is_set, path_of, text, text_of};
use crate::failure::Failure;
use crate::{absolute, naming, output};
use runtime_core::{ContainerId, Error, Host, plan};

pub(super) const VERB: Verb = Verb {
    name: "plan",
    about: "Print what would be done to make a container, without doing it",
    arguments: |table| {
        table.args([
            format("text"),
            text("id", "ID", "The container's name [default: that of the bundle's directory]"),
            flag("no-pivot", "As for `create`"),
            Arg::new("BUNDLE").value_parser(value_parser!(PathBuf)).help("The directory with config.json"),
        ])
    },
    run,
};

fn run(matches: &ArgMatches, session: &Session<'_>) -> Result<u8, Failure> {
    let path = absolute(path_of(matches, "BUNDLE").map_or(Path::new("."), PathBuf::as_path))?;
    let id = id(matches, &path)?;
    let bundle = open_bundle(&path, session.log)?;
    let (host, systemd) = Host::probe_for_new(bundle.spec(), &id, &session.driver)?;
    let no_pivot = is_set(matches, "no-pivot");
    let request = plan::Request { no_pivot, systemd, ..plan::Request::new(&id, bundle.rootfs()) };
    let plan = plan::create(bundle.spec(), &host, &request).map_err(Error::from)?;
    match text_of(matches, "format") {
        "json" => output::print_pretty(&plan.to_json()),
        _ => output::print(&plan.to_string()),
    }
    .map(|()| 0)
}

fn id(matches: &ArgMatches, bundle: &Path) -> Result<ContainerId, Failure> {
    match matches.get_one::<String>("id") {
        Some(id) => Ok(ContainerId::new(id)?),
        None => Ok(ContainerId::new(naming::base(bundle))?),
    }
}
