//! The program inside the container: it receives a plan, executes its steps in order, and becomes the user's program.
//!
//! It decides nothing: no configuration is parsed here, no feature is probed, and it does not know whether it makes a
//! container or enters one. It allocates nothing and depends on nothing.
#![no_std]
#![no_main]
#![no_builtins]
#![deny(unsafe_code)]

// The library uses the other half of these two.
#[allow(dead_code)]
#[path = "../src/step.rs"]
mod step;
#[allow(unsafe_code)]
mod sys;
#[allow(dead_code)]
#[path = "../src/wire.rs"]
mod wire;

mod agent;
mod birth;
mod copy_up;
mod dialogue;
mod execute;
mod fault;
mod hide;
mod identity;
mod labels;
mod mounts;
mod namespaces;
mod nodes;
mod passwd;
mod paths;
mod root;
mod streams;
mod sysctl;
mod terminal;
mod walk;

use core::ffi::CStr;

use dialogue::Dialogue;
use fault::{Fault, Outcome};
use passwd::Home;
use paths::Root;
use step::Step;
use wire::{Borrowed, Message, SHORT_PLAN};

/// The exit status of init when a step failed; the parent has the report.
const FAILED: i32 = 1;

/// What steps share: what the plan, the parent, the root and the user's home are.
struct Init<'a> {
    message: Message<'a>,
    dialogue: Dialogue,
    root: Option<Root>,
    home: Option<Home>,
}

/// Executes the plan that arrives on the dialogue, whose descriptor's number is the argument. Returns only on failure.
fn main(argument: &CStr) -> i32 {
    if let Some(descriptor) = number(argument) {
        let dialogue = Dialogue::on(descriptor);
        let mut place = [0; SHORT_PLAN];
        if let Ok(message) = dialogue.receive_plan(&mut place) {
            let init = Init { message, dialogue, root: None, home: None };
            init.carry_out();
        }
    }
    FAILED
}

/// A decimal number.
fn number(text: &CStr) -> Option<i32> {
    text.to_bytes().iter().try_fold(0i32, |sum, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        sum.checked_mul(10)?.checked_add(i32::from(digit))
    })
}

impl<'a> Init<'a> {
    fn carry_out(mut self) {
        for (number, step) in self.message.steps::<Step<Borrowed<'a>>>() {
            let outcome = match step {
                Some(step) => self.execute(number, step),
                None => Err(Fault::malformed()),
            };
            if let Err(fault) = outcome {
                self.dialogue.report_failure(number, fault);
                return;
            }
        }
    }

    fn execute(&mut self, number: u32, step: Step<Borrowed<'a>>) -> Outcome {
        match step {
            Step::Isolate { ignored, all_cpus, few } => {
                namespaces::isolate(self.dialogue.descriptor(), ignored, all_cpus, few)
            }
            Step::TakeStreams { uid, own_null } => streams::take(uid, own_null),
            Step::Conceal => namespaces::conceal(),
            Step::JoinNamespace { kind } => namespaces::join(self.dialogue.take_loan()?, kind),
            Step::NewCgroupNamespace => namespaces::new_cgroup_namespace(),
            Step::NewTimeNamespace { offsets } => namespaces::new_time_namespace(offsets),
            Step::JoinSessionKeyring { name } => identity::join_session_keyring(name),
            Step::BringLoopbackUp => namespaces::bring_loopback_up(),
            Step::SetPropagation { to } => mounts::set_propagation(to),
            Step::MountRoot { path } => root::mount(path).map(|root| self.root = Some(root)),
            Step::AttachRoot => root::attach(self.dialogue.take_loan()?).map(|root| self.root = Some(root)),
            Step::HoldRoot { path } => root::hold(path).map(|root| self.root = Some(root)),
            Step::Mount { .. } => mounts::mount(self.root()?, step),
            Step::AttachMount { at } => mounts::attach(self.root()?, self.dialogue.take_loan()?, at),
            Step::BindMount { .. } => mounts::attach_bound(self.root()?, self.dialogue.take_loan()?, step),
            Step::MakeNodes { directory, nodes, links, replace } => {
                nodes::make(self.root()?, directory, nodes, links, replace)
            }
            Step::MakeDirectory { path, mode } => paths::make_directory(self.root()?, path, mode),
            Step::Barrier { .. } => self.dialogue.wait_at(number),
            Step::Emerge { terminal } => birth::emerge(&self.dialogue, number, terminal),
            Step::OpenTerminal { rows, columns, owner, console, control } => {
                let master = terminal::open(self.root()?, rows, columns, owner, console)?;
                if control {
                    terminal::control()?;
                }
                self.dialogue.hand_over(number, &master)
            }
            Step::WriteSysctl { path, value } => sysctl::write(path, value),
            Step::ProtectPaths { paths } => hide::protect(self.root()?, paths),
            Step::MaskPaths { paths, empty } => hide::mask(self.root()?, paths, empty),
            Step::SetAttributes { path, set, clear, recursive } => {
                hide::set_attributes(self.root()?, path, set, clear, recursive)
            }
            Step::PivotRoot => root::pivot(self.root()?),
            Step::MoveRoot => root::move_over(self.root()?),
            Step::ChangeRoot => root::change(self.root()?),
            Step::SetHostname { name } => namespaces::set_hostname(name),
            Step::SetDomainname { name } => namespaces::set_domainname(name),
            Step::SetPersonality { domain } => identity::set_personality(domain),
            Step::SetMemoryPolicy { mode, nodes } => identity::set_memory_policy(mode, nodes),
            Step::ForbidNewPrivileges => identity::forbid_new_privileges(),
            Step::DropBounding { capabilities } => identity::drop_bounding(capabilities),
            Step::BecomeUser { .. } => identity::become_user(step),
            Step::SetCapabilities { effective, permitted, inheritable, ambient } => {
                identity::set_capabilities(effective, permitted, inheritable, ambient)
            }
            Step::SetLabel { of, label } => labels::set(of, label),
            Step::LabelMount { path, label } => labels::mount(self.root()?, path, label),
            Step::SetLimit { resource, soft, hard } => {
                // What was left open takes up the numbers of what is to be opened.
                if sys::limits_descriptors(resource, soft) {
                    self.dialogue.close_all_else()?;
                }
                identity::set_limit(resource, soft, hard)
            }
            Step::FindProgram { candidates } => execute::find(candidates),
            Step::AwaitStart => self.dialogue.await_start(),
            Step::EnterContainer { kinds } => namespaces::enter(self.dialogue.take_loan()?, kinds.iter()),
            Step::AwaitWord => self.dialogue.await_word(),
            Step::InstallSeccomp { flags, filter } => {
                identity::install_seccomp(flags, self.message.blob(filter))
            }
            Step::InstallSeccompWithAgent { flags, filter, rendezvous } => {
                agent::install_seccomp(&self.dialogue, number, flags, self.message.blob(filter), rendezvous)
            }
            Step::FindHome { uid } => {
                self.home = Some(Home::of(uid));
                Ok(())
            }
            Step::Execute { .. } => Err(execute::execute(step, self.home.as_ref())),
        }
    }

    fn root(&self) -> Result<&Root, Fault> {
        self.root.as_ref().ok_or(Fault::malformed())
    }
}
