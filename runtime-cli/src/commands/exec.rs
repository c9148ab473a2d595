//! `exec`: a further process in a container.

use std::fs;
use std::io::Read;
use std::mem::{self, ManuallyDrop};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use runtime_core::cgroup::Inside;
use runtime_core::container::{Container, ExecOptions};
use runtime_core::error::Context;
use runtime_core::signals;
use runtime_core::spec::{ExecProcess, ProcessChanges};

use super::foreground::{Attended, status};
use super::{Session, Verb};
use crate::absolute;
use crate::args::{container, flag, is_set, path, path_of, text, text_of};
use crate::failure::Failure;
use crate::terminal::{self, Relay};

pub(super) const VERB: Verb =
    Verb { name: "exec", about: "Run a further program in a container", arguments, run: exec };

fn arguments(table: Command) -> Command {
    let many = |arg: Arg| arg.action(ArgAction::Append);
    table.args([
        path(
            "process",
            "FILE",
            "Take the whole process from this file, a `process` object as in config.json",
        )
        .short('p'),
        flag("detach", "Return when the program runs").short('d'),
        path("console-socket", "SOCKET", "Send the terminal to this socket"),
        path("pidfd-socket", "SOCKET", "Send a pidfd of the process to this socket"),
        path("pid-file", "FILE", "Write the pid of the process to this file"),
        flag("tty", "Give it a terminal").short('t'),
        path("cwd", "DIR", "Its working directory in the container"),
        many(text("env", "NAME=VALUE", "A further variable; may be repeated").short('e')),
        text("user", "UID[:GID]", "Its user and group, as numbers").short('u'),
        many(
            text("additional-gids", "GID", "A further group; may be repeated")
                .short('g')
                .value_parser(value_parser!(u32)),
        ),
        many(text("cap", "CAPABILITY", "A further capability; may be repeated").short('c')),
        text("apparmor", "PROFILE", "Its AppArmor profile"),
        text("process-label", "LABEL", "Its SELinux label"),
        flag("no-new-privs", "Forbid it to gain privileges"),
        Arg::new("preserve-fds")
            .long("preserve-fds")
            .value_name("N")
            .value_parser(value_parser!(u32))
            .help("Hand on N descriptors after the standard streams"),
        many(text("cgroup", "[CONTROLLERS:]PATH", "Put it into this cgroup below the container's")),
        flag("ignore-paused", "Start it in a paused container, too"),
        container(),
        Arg::new("COMMAND")
            .help("The program and its arguments")
            .num_args(0..)
            .trailing_var_arg(true)
            .allow_hyphen_values(true),
    ])
}

fn exec(matches: &ArgMatches, session: &Session<'_>) -> Result<u8, Failure> {
    let detached = is_set(matches, "detach");
    let process = process(matches)?;
    let console = terminal::console(matches, process.wants_terminal(), detached)?;
    let options = ExecOptions { console, ..options(matches)? };
    let container = session.find(matches)?;
    if detached {
        container.exec(&process, &options)?;
        return Ok(0);
    }
    foreground(&container, &process, &options, session)
}

/// Signals go to the program, whose end is ours.
fn foreground(
    container: &Container,
    process: &ExecProcess,
    options: &ExecOptions,
    session: &Session<'_>,
) -> Result<u8, Failure> {
    let blocked = signals::block_all();
    let queue = ManuallyDrop::new(blocked.queue()?);
    mem::forget(blocked);
    let mut running = ManuallyDrop::new(container.exec(process, options)?);
    let relay = running.take_terminal().map(|terminal| Relay::new(terminal.into())).transpose()?;
    let pass_on = |signal| {
        if let Err(error) = running.signal(signal) {
            session.log.debug(|| format!("cannot pass on signal {signal}: {error}"));
        }
    };
    let (pidfd, pid) = (running.pidfd(), running.pid());
    Attended { pidfd, pid, signals: &queue, pass_on: &pass_on, relay, readiness: None }.until_its_end()?;
    Ok(status(running.wait()?))
}

fn process(matches: &ArgMatches) -> Result<ExecProcess, Failure> {
    if let Some(file) = path_of(matches, "process") {
        return Ok(ExecProcess::Document(read(file)?));
    }
    let many = |name: &str| matches.get_many::<String>(name).into_iter().flatten().cloned().collect();
    let given = |name: &str| matches.get_one::<String>(name).cloned();
    let args: Vec<String> = many("COMMAND");
    if args.is_empty() {
        return Err(Failure::Usage(
            "the program to run is missing: give it after the container's name".into(),
        ));
    }
    let (uid, gid) = user(text_of(matches, "user"))?;
    Ok(ExecProcess::Changes(Box::new(ProcessChanges {
        args,
        terminal: is_set(matches, "tty"),
        cwd: path_of(matches, "cwd").cloned(),
        env: many("env"),
        uid,
        gid,
        additional_gids: matches.get_many("additional-gids").into_iter().flatten().copied().collect(),
        capabilities: many("cap"),
        no_new_privileges: is_set(matches, "no-new-privs").then_some(true),
        apparmor: given("apparmor"),
        selinux_label: given("process-label"),
    })))
}

/// A file, or for `-` standard input.
fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let doing = || format!("cannot read the process {}", file.display());
    if file == Path::new("-") {
        let mut text = Vec::new();
        std::io::stdin().lock().read_to_end(&mut text).doing(doing)?;
        return Ok(text);
    }
    Ok(fs::read(file).doing(doing)?)
}

/// `UID[:GID]`, in digits alone: what is anything else names nobody, least of all root (CVE-2016-3697, CVE-2026-30892).
pub(crate) fn user(text: &str) -> Result<(Option<u32>, Option<u32>), Failure> {
    if text.is_empty() {
        return Ok((None, None));
    }
    let (uid, gid) = text.split_once(':').map_or((text, None), |(uid, gid)| (uid, Some(gid)));
    let id = |digits: &str| {
        let number =
            digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
        number.filter(|id| *id != u32::MAX).ok_or_else(|| {
            Failure::Usage(format!("invalid value {text:?} for --user: give UID or UID:GID, as numbers"))
        })
    };
    Ok((Some(id(uid)?), gid.map(id).transpose()?))
}

fn options(matches: &ArgMatches) -> Result<ExecOptions, Failure> {
    let cgroups = matches.get_many::<String>("cgroup").into_iter().flatten();
    Ok(ExecOptions {
        pidfd_socket: path_of(matches, "pidfd-socket").map(|path| absolute(path)).transpose()?,
        preserve_fds: matches.get_one("preserve-fds").copied().unwrap_or(0),
        pid_file: path_of(matches, "pid-file").map(|path: &PathBuf| absolute(path)).transpose()?,
        cgroups: cgroups.map(|text| Inside::parse(text)).collect::<Result<_, _>>()?,
        ignore_paused: is_set(matches, "ignore-paused"),
        ..ExecOptions::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_numbers_or_an_error() {
        assert_eq!(user("").unwrap(), (None, None));
        assert_eq!(user("1000").unwrap(), (Some(1000), None));
        assert_eq!(user("1:2").unwrap(), (Some(1), Some(2)));
        for bad in
            ["+1", "-1", " 1", "1 ", "1x", "root", "4294967295", "4294967296", ":1", "1:", "1:2:3", ":"]
        {
            assert!(user(bad).is_err(), "{bad:?}");
        }
    }
}
