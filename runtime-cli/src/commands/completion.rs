//! `completion` and `man`: what shells and readers are told, from the tables that the parser uses.

use std::fs;
use std::path::Path;

use clap::{Arg, ArgMatches, value_parser};
use clap_complete::Shell;
use clap_mangen::Man;

use super::Verb;
use crate::args::{path_of, text_of, tree};
use crate::failure::Failure;
use crate::output;
use runtime_core::error::Context;

pub(super) const COMPLETION: Verb = Verb {
    name: "completion",
    about: "Print a script that makes a shell complete this program's arguments",
    arguments: |table| {
        let shell = Arg::new("SHELL").required(true).value_parser(["bash", "zsh", "fish"]);
        table.arg(shell.help("bash, zsh or fish"))
    },
    run: |matches, _| complete(matches).map(|()| 0),
};

pub(super) const MAN: Verb = Verb {
    name: "man",
    about: "Write the manual pages",
    arguments: |table| {
        let directory = Arg::new("DIR").required(true).value_parser(value_parser!(std::path::PathBuf));
        table.arg(directory.help("The directory for the files; it is made if it is missing"))
    },
    run: |matches, _| write_pages(path_of(matches, "DIR").map_or(Path::new("."), |path| path)).map(|()| 0),
};

fn complete(matches: &ArgMatches) -> Result<(), Failure> {
    let shell = match text_of(matches, "SHELL") {
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        _ => Shell::Bash,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut tree(), "runtime", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}

// `runtime.1`, and `runtime-create.1` and so on.
fn write_pages(directory: &Path) -> Result<(), Failure> {
    let doing = || format!("cannot write manual pages to {}", directory.display());
    fs::create_dir_all(directory).doing(doing)?;
    let mut program = tree();
    program.build();
    for command in program.get_subcommands().chain([&program]) {
        let page = Man::new(command.clone());
        let mut text = Vec::new();
        page.render(&mut text).doing(doing)?;
        fs::write(directory.join(page.get_filename()), text).doing(doing)?;
    }
    Ok(())
}
