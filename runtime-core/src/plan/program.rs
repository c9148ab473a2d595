//! The program: found, handed over, executed.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::Path;

use super::draft::{Draft, text};
use super::{Action, Joining, Pointer, Request, hooks, limits, notify, scheduling, terminal};
use crate::error::ConfigError;
use crate::spec::Spec;
use crate::step::{Point, Step};

/// Where programs are looked for when the environment names no PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const ARGS: Pointer = Pointer::of("/process/args");

/// Says now, while the caller of `create` still listens, if there is no program; and finds what it is told about its
/// user, before a filter forbids to look.
pub(super) fn find(plan: &mut Draft, spec: &Spec) -> Result<(), ConfigError> {
    plan.init(ARGS.child(0), Step::FindProgram { candidates: candidates(spec)? });
    let has_home = environment(spec, &[]).iter().any(|variable| variable.starts_with("HOME="));
    if let (false, Some(process)) = (has_home, spec.oci().process()) {
        plan.init("/process/user", Step::FindHome { uid: process.user().uid() });
    }
    Ok(())
}

/// The container is complete: what only the parent may set, then its record, then it is its own master.
pub(super) fn hand_over(plan: &mut Draft, spec: &Spec, request: &Request) -> Result<(), ConfigError> {
    let mut before = Draft::default();
    set_outside(&mut before, spec, false);
    tell(&mut before, request.pidfd_socket.as_deref(), "standard", request.pid_file.as_deref());
    let mut after = Draft::default();
    hooks::before_start(&mut after, spec);
    // A record can be taken back: if there is no more to do, nobody waits for anybody.
    if !request.wait_for_start && before.entries.is_empty() && after.entries.is_empty() {
        plan.host(Pointer::NONE, Action::Record);
        plan.init(Pointer::NONE, Step::AwaitWord);
        return Ok(());
    }
    plan.init(Pointer::NONE, Step::Barrier { point: Point::Ready });
    plan.entries.append(&mut before.entries);
    plan.host(Pointer::NONE, Action::Record);
    if request.wait_for_start {
        limits::leave_descriptors(spec, request.inherited_descriptors)?;
        plan.host(Pointer::NONE, Action::LendStartSocket);
        plan.init(Pointer::NONE, Step::AwaitStart);
        plan.init(Pointer::NONE, Step::Barrier { point: Point::Start });
    }
    plan.entries.append(&mut after.entries);
    Ok(())
}

/// What only the parent can set, since it takes its privileges; the score may be set by now.
fn set_outside(plan: &mut Draft, spec: &Spec, is_scored: bool) {
    limits::limit_process(plan, spec);
    scheduling::set(plan, spec);
    if !is_scored {
        limits::set_score(plan, spec);
    }
}

/// Tells where a process is.
fn tell(plan: &mut Draft, pidfd_socket: Option<&Path>, word: &'static str, pid_file: Option<&Path>) {
    terminal::send_pidfd(plan, pidfd_socket, word);
    if let Some(path) = pid_file {
        plan.host(Pointer::NONE, Action::WritePidFile(path.to_owned()));
    }
}

/// A further process is complete: what only the parent may set, and where the caller finds it.
pub(super) fn present(plan: &mut Draft, spec: &Spec, joining: &Joining) {
    let mut before = Draft::default();
    set_outside(&mut before, spec, limits::is_scored_early(spec));
    tell(&mut before, joining.pidfd_socket.as_deref(), "setns", joining.pid_file.as_deref());
    if !before.entries.is_empty() {
        plan.init(Pointer::NONE, Step::Barrier { point: Point::Ready });
        plan.entries.append(&mut before.entries);
    }
}

/// The end of init. `ours` are variables that the configuration doesn't know.
pub(super) fn execute(plan: &mut Draft, spec: &Spec, ours: &[String]) -> Result<(), ConfigError> {
    let Some(process) = spec.oci().process() else { return Ok(()) };
    plan.init(
        "/process/args",
        Step::Execute {
            candidates: candidates(spec)?,
            arguments: texts(&ARGS, process.args().iter().flatten())?,
            environment: texts(&Pointer::of("/process/env"), environment(spec, ours))?,
        },
    );
    Ok(())
}

fn texts<T: AsRef<[u8]>>(
    origin: &Pointer,
    list: impl IntoIterator<Item = T>,
) -> Result<Vec<CString>, ConfigError> {
    list.into_iter().enumerate().map(|(index, each)| text(&origin.child(index), each)).collect()
}

/// What the program is told about things that its caller hands on: sockets to serve, and one to report to.
pub(super) fn handed_on(request: &Request) -> Vec<String> {
    let mut variables = Vec::new();
    if request.listen_fds > 0 {
        // They are meant for the first process, which is this one as its pid namespace sees it.
        variables.extend([format!("LISTEN_FDS={}", request.listen_fds), "LISTEN_PID=1".into()]);
    }
    if request.notify_directory.is_some() {
        variables.push(format!("NOTIFY_SOCKET={}", notify::SOCKET));
    }
    variables
}

/// The environment, `ours` after what is configured, each name once: the last one given wins, in the place of the first.
fn environment<'a>(spec: &'a Spec, ours: &'a [String]) -> Vec<&'a str> {
    let given = spec.oci().process().as_ref().and_then(|process| process.env().as_ref());
    let mut kept: Vec<&str> = Vec::new();
    let mut places = BTreeMap::new();
    for variable in given.into_iter().flatten().chain(ours) {
        let name = variable.split('=').next().unwrap_or_default();
        match places.get(name) {
            None => {
                places.insert(name, kept.len());
                kept.push(variable);
            }
            Some(place) => {
                if let Some(earlier) = kept.get_mut(*place) {
                    *earlier = variable;
                }
            }
        }
    }
    kept
}

/// The paths at which the program may be: its own, or one per directory of the container's PATH.
fn candidates(spec: &Spec) -> Result<Vec<CString>, ConfigError> {
    let args = spec.oci().process().as_ref().and_then(|process| process.args().as_ref());
    let name = args.and_then(|args| args.first()).map_or("", String::as_str);
    let origin = ARGS.child(0);
    if name.contains('/') {
        return Ok(vec![text(&origin, name)?]);
    }
    let environment = environment(spec, &[]);
    let path = environment.iter().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    path.split(':')
        .map(|directory| if directory.is_empty() { "." } else { directory })
        .map(|directory| text(&origin, format!("{directory}/{name}")))
        .collect()
}
