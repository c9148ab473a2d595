//! `kill`: a signal for a container.

use clap::{Arg, ArgMatches};

use super::{Session, Verb};
use crate::args::{container, flag, is_set, text_of};
use crate::compat;
use crate::failure::Failure;

pub(super) const VERB: Verb = Verb {
    name: "kill",
    about: "Send a signal to a container's first process",
    arguments: |table| {
        table.args([
            flag("all", "Send it to all processes of the container").short('a'),
            container(),
            Arg::new("SIGNAL")
                .default_value("SIGTERM")
                .help("A number, or a name such as TERM, SIGKILL or RTMIN+3"),
        ])
    },
    run,
};

fn run(matches: &ArgMatches, session: &Session<'_>) -> Result<u8, Failure> {
    let text = text_of(matches, "SIGNAL");
    let signal = number(text).ok_or_else(|| Failure::Refused(format!("unknown signal {text:?}")))?;
    let all = is_set(matches, "all");
    compat::kill_answer(session.find(matches)?.kill(signal, all), all)?;
    Ok(0)
}

// In the order of their numbers, from 1, on x86, ARM and RISC-V.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
const ALIASES: [(&str, i32); 4] = [("IOT", 6), ("CLD", 17), ("POLL", 29), ("UNUSED", 31)];

// The C library keeps 32 and 33 for itself, and everybody counts from the next one.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

// The signal with this number or name. 0 asks whether the container is there.
pub(crate) fn number(text: &str) -> Option<i32> {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return text.parse().ok().filter(|number| (0..=RTMAX).contains(number));
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let named = NAMES.iter().zip(1..).map(|(name, number)| (*name, number));
    named
        .chain(ALIASES)
        .find(|(known, _)| *known == name)
        .map(|(_, number)| number)
        .or_else(|| real_time(name))
}

// RTMIN, RTMIN+n, RTMAX, RTMAX-n.
fn real_time(name: &str) -> Option<i32> {
    let (base, sign, distance) = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(""), _) => (RTMIN, 1, "0"),
        (_, Some("")) => (RTMAX, 1, "0"),
        (Some(rest), _) => (RTMIN, 1, rest.strip_prefix('+')?),
        (_, Some(rest)) => (RTMAX, -1, rest.strip_prefix('-')?),
        _ => return None,
    };
    let distance: u8 = distance.parse().ok()?;
    Some(base + sign * i32::from(distance)).filter(|number| (RTMIN..=RTMAX).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_numbers_and_names_in_any_case() {
        for (text, signal) in [
            ("9", 9),
            ("0", 0),
            ("64", 64),
            ("KILL", 9),
            ("SIGKILL", 9),
            ("sigterm", 15),
            ("Hup", 1),
            ("sys", 31),
            ("poll", 29),
            ("winch", 28),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("rtmax-1", 63),
            ("RTMAX", 64),
        ] {
            assert_eq!(number(text), Some(signal), "{text}");
        }
    }

    #[test]
    fn what_is_no_signal_is_refused() {
        for text in
            ["", "FOO", "SIG", "65", "-1", "9x", "RTMIN-1", "RTMIN+31", "RTMAX-31", "RTMIN+", "RTMIN-"]
        {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn names_agree_with_the_kernel() {
        use rustix::process::Signal;
        for (name, signal) in [
            ("STKFLT", Signal::STKFLT),
            ("XFSZ", Signal::XFSZ),
            ("WINCH", Signal::WINCH),
            ("IO", Signal::IO),
            ("TTOU", Signal::TTOU),
        ] {
            assert_eq!(number(name), Some(signal.as_raw()), "{name}");
        }
    }
}
