//! `spec`: a config.json to begin with.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

use clap::ArgMatches;
use rustix::process::{getegid, geteuid};

use super::Verb;
use crate::args::{flag, is_set, path, path_of};
use crate::failure::Failure;
use runtime_core::error::Context;
use runtime_core::spec;

pub(super) const VERB: Verb = Verb {
    name: "spec",
    about: "Write a config.json to begin with",
    arguments: |table| {
        table.args([
            path("bundle", "DIR", "Where to write it [default: the current directory]").short('b'),
            flag("rootless", "For a user who isn't root"),
        ])
    },
    run: |matches, _| write(matches).map(|()| 0),
};

fn write(matches: &ArgMatches) -> Result<(), Failure> {
    let path = path_of(matches, "bundle").map_or("config.json".into(), |bundle| bundle.join("config.json"));
    let rootless = is_set(matches, "rootless").then(|| (geteuid().as_raw(), getegid().as_raw()));
    let doing = || format!("cannot write {}", path.display());
    let mut file = match File::create_new(&path) {
        // RUNC-COMPAT: these words.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(Failure::Refused("File config.json exists. Remove it first".into()));
        }
        file => file.doing(doing)?,
    };
    Ok(file
        .write_all(spec::template_text(&spec::template(rootless, has_only_cgroup2())).as_bytes())
        .doing(doing)?)
}

// Whether /sys/fs/cgroup is a cgroup2 file system: then a cgroup namespace can hide what is above.
fn has_only_cgroup2() -> bool {
    const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;
    rustix::fs::statfs(Path::new("/sys/fs/cgroup"))
        .is_ok_and(|found| u64::try_from(found.f_type) == Ok(CGROUP2_SUPER_MAGIC))
}
