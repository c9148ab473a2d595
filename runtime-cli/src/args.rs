//! The command line: one table of arguments per command, read the way engines write them.
//!
//! Engines write for the Go parser that runc uses: `-no-subreaper` is a long option, `--keep=false` unsets, a repeated
//! option counts once, and a value may begin with a dash. All this is brought into one form, `--name=value`, before the
//! table is asked.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::commands::{VERBS, Verb};
use crate::compat;
use crate::failure::Failure;

/// What the parser made of some arguments.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// They fit the table.
    Matches(ArgMatches),
    /// They asked for help, and this is it.
    Help(String),
}

/// An option that is there or not; `--name=false` unsets it.
pub(crate) fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
}

/// An option whose value is a path.
pub(crate) fn path(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help).value_parser(value_parser!(PathBuf))
}

/// An option whose value is text.
pub(crate) fn text(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

/// The option that chooses between a form for people, which is the usual one, and JSON.
pub(crate) fn format(usual: &'static str) -> Arg {
    text("format", "FORMAT", "How it is printed")
        .short('f')
        .default_value(usual)
        .value_parser([usual, "json"])
}

/// The positional argument of most commands.
pub(crate) fn container() -> Arg {
    Arg::new("ID").help("The container's name").required(true)
}

/// Whether a [`flag`] is set.
pub(crate) fn is_set(matches: &ArgMatches, name: &str) -> bool {
    matches.get_one(name).copied().unwrap_or(false)
}

/// The value of a required [`text`] or positional argument, or the empty text.
pub(crate) fn text_of<'a>(matches: &'a ArgMatches, name: &str) -> &'a str {
    matches.get_one::<String>(name).map_or("", String::as_str)
}

/// The value of a [`path`], if given.
pub(crate) fn path_of<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a PathBuf> {
    matches.get_one(name)
}

/// The options that stand in front of the command.
pub(crate) fn globals() -> Command {
    table("runtime", "A low-level OCI container runtime", "runtime").args([
        path("root", "DIR", "Where the state of containers is kept"),
        path("log", "FILE", "Where errors are recorded, besides standard error"),
        text("log-format", "FORMAT", "The form of records: text or json").default_value("text"),
        flag("debug", "Record warnings and what is done as well"),
        text("log-level", "LEVEL", "error, warning or debug; debug is --debug")
            .value_parser(["error", "warning", "debug"]),
        flag("systemd-cgroup", "Let systemd make the cgroups"),
        text("cgroup-manager", "MANAGER", "Who makes the cgroups: cgroupfs, systemd, or disabled for nobody")
            .value_parser(["cgroupfs", "systemd", "disabled"]),
        path("criu", "FILE", "Accepted; criu is found through PATH").hide(true),
        text("rootless", "BOOL|auto", "Accepted; whether the caller is root is found out")
            .value_parser(compat::parse_rootless),
        flag("version", "Print the version").short('v'),
    ])
}

/// The table of one command.
pub(crate) fn command(verb: &Verb) -> Command {
    (verb.arguments)(table(verb.name, verb.about, &format!("runtime {}", verb.name)))
}

/// All tables, as one command with its subcommands: for what is made from them besides the parser.
pub(crate) fn tree() -> Command {
    let verbs = VERBS.iter().map(|verb| command(verb).display_name(format!("runtime-{}", verb.name)));
    globals().subcommands(verbs).subcommand_value_name("COMMAND")
}

fn table(name: &'static str, about: &'static str, shown: &str) -> Command {
    Command::new(name)
        .about(about)
        .bin_name(shown)
        .display_name(shown)
        .no_binary_name(true)
        .args_override_self(true)
        .disable_help_subcommand(true)
}

/// The help of the whole program.
pub(crate) fn help() -> String {
    let verbs = VERBS.iter().map(|verb| Command::new(verb.name).about(verb.about));
    globals().subcommands(verbs).subcommand_value_name("COMMAND").render_help().to_string()
}

/// The global options among `arguments`, and the command with its own arguments.
///
/// # Errors
/// The options don't fit the table.
pub(crate) fn split(arguments: &[OsString]) -> Result<(Parsed, &[OsString]), Failure> {
    let mut table = globals();
    let (options, rest) = normalise(&table, arguments)?;
    let parsed = ask(&mut table, options).map(|parsed| match parsed {
        Parsed::Help(_) => Parsed::Help(help()),
        matches => matches,
    });
    Ok((parsed?, rest))
}

/// Reads the arguments of `verb`.
///
/// # Errors
/// They don't fit its table.
pub(crate) fn parse(verb: &Verb, arguments: &[OsString]) -> Result<Parsed, Failure> {
    let mut table = command(verb);
    let (mut tokens, rest) = normalise(&table, arguments)?;
    // What follows the container's name may be a command line of its own, whose options are not ours.
    let takes_command = table.get_positionals().any(Arg::is_trailing_var_arg_set);
    if takes_command && rest.first().is_some_and(|word| word != "--") {
        tokens.push("--".into());
    }
    tokens.extend_from_slice(rest);
    ask(&mut table, tokens)
}

fn ask(table: &mut Command, tokens: Vec<OsString>) -> Result<Parsed, Failure> {
    match table.try_get_matches_from_mut(tokens) {
        Ok(matches) => Ok(Parsed::Matches(matches)),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => Ok(Parsed::Help(error.to_string())),
        Err(error) => {
            let shown = table.get_bin_name().unwrap_or("runtime");
            Err(Failure::Usage(format!("{} (see \"{shown} --help\")", sentence(&error))))
        }
    }
}

// The options up to the first positional argument, as `--name=value` or `--flag`, and what follows them. What isn't in
// the table stays as it is, for clap to complain about.
fn normalise<'a>(
    table: &Command,
    arguments: &'a [OsString],
) -> Result<(Vec<OsString>, &'a [OsString]), Failure> {
    let mut options = Vec::with_capacity(arguments.len());
    let mut rest = arguments;
    while let [argument, after @ ..] = rest {
        let Some((name, value)) = option(argument) else { break };
        rest = after;
        match (find(table, name, argument), value, after) {
            (None, ..) => options.push(argument.clone()),
            (Some((long, false)), value, _) => put_flag(&mut options, long, value)?,
            (Some((long, true)), None, [next, after @ ..]) => {
                options.push(valued(long, next.as_bytes()));
                rest = after;
            }
            (Some((long, true)), Some(value), _) => options.push(valued(long, value)),
            (Some((long, true)), None, []) => options.push(format!("--{long}").into()),
        }
    }
    Ok((options, rest))
}

// `--flag=false` takes back what stands before it.
fn put_flag(options: &mut Vec<OsString>, long: &str, value: Option<&[u8]>) -> Result<(), Failure> {
    let flag = OsString::from(format!("--{long}"));
    let value = value.map_or("true".into(), String::from_utf8_lossy);
    let set = compat::parse_bool(&value)
        .map_err(|why| Failure::Usage(format!("invalid value {value:?} for --{long}: {why}")))?;
    options.retain(|option| *option != flag);
    options.extend(set.then_some(flag));
    Ok(())
}

// `--name=value`, `-name=value`, `-n`: the name and the value in it. Not `--`, not `-`.
fn option(argument: &OsStr) -> Option<(&[u8], Option<&[u8]>)> {
    let name = argument.as_bytes().strip_prefix(b"-")?;
    let name = name.strip_prefix(b"-").unwrap_or(name);
    if name.is_empty() {
        return None;
    }
    let mut parts = name.splitn(2, |byte| *byte == b'=');
    Some((parts.next()?, parts.next()))
}

// The long form of an option in the table, and whether it takes a value.
fn find<'a>(table: &'a Command, name: &[u8], argument: &OsStr) -> Option<(&'a str, bool)> {
    let single = !argument.as_bytes().starts_with(b"--");
    let is_short = |arg: &Arg| single && arg.get_short().is_some_and(|short| name == [short as u8]);
    table.get_arguments().find_map(|arg| {
        let long = arg.get_long().filter(|long| long.as_bytes() == name || is_short(arg))?;
        Some((long, arg.get_action().takes_values()))
    })
}

fn valued(long: &str, value: &[u8]) -> OsString {
    OsString::from_vec([b"--", long.as_bytes(), b"=", value].concat())
}

// One sentence for a mistake. Podman looks for `requires an argument` to learn which options exist.
fn sentence(error: &clap::Error) -> String {
    let culprit = context(error, ContextKind::InvalidArg);
    let name = culprit.split([' ', '=', '[']).next().unwrap_or_default();
    let value = context(error, ContextKind::InvalidValue);
    match error.kind() {
        ErrorKind::InvalidValue if value.is_empty() => format!("option {name} requires an argument"),
        ErrorKind::MissingRequiredArgument => format!("{culprit} is missing"),
        ErrorKind::UnknownArgument if name.starts_with('-') => format!("unknown option {name}"),
        ErrorKind::UnknownArgument => format!("unexpected argument {culprit:?}"),
        ErrorKind::InvalidUtf8 => "an argument that should be text is not UTF-8".into(),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let reason = std::error::Error::source(error).map_or_else(String::new, |why| format!(": {why}"));
            format!("invalid value {value:?} for {name}{reason}")
        }
        kind => format!("{kind}: {culprit}"),
    }
}

fn context(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
