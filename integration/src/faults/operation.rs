//! The commands that faults meet, and what brings a container to where each of them begins.

use serde_json::{Value, json};

use super::shape::Shape;

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// `create`
    Create,
    /// `start`
    Start,
    /// `run`, in the foreground
    Run,
    /// `run --detach`
    RunDetached,
    /// `exec`
    Exec,
    /// `kill ID KILL`
    Kill,
    /// `pause`
    Pause,
    /// `resume`
    Resume,
    /// `update`
    Update,
    /// `delete` of a stopped container
    Delete,
    /// `delete --force` of a running one
    DeleteForce,
}

/// Names that a command is given.
#[derive(Debug, Clone)]
pub struct Names<'a> {
    /// The container.
    pub id: &'a str,
    /// The bundle.
    pub bundle: &'a str,
    /// Where the pid goes.
    pub pid_file: &'a str,
    /// Where a terminal is sent.
    pub console: &'a str,
    /// The resources for an update.
    pub resources: &'a str,
    /// What the container is like.
    pub shape: Shape,
}

impl Operation {
    /// All commands.
    pub const ALL: [Operation; 11] = [
        Operation::Create,
        Operation::Start,
        Operation::Run,
        Operation::RunDetached,
        Operation::Exec,
        Operation::Kill,
        Operation::Pause,
        Operation::Resume,
        Operation::Update,
        Operation::Delete,
        Operation::DeleteForce,
    ];

    /// The word that chooses it.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Create => "create",
            Operation::Start => "start",
            Operation::Run => "run",
            Operation::RunDetached => "run-detach",
            Operation::Exec => "exec",
            Operation::Kill => "kill",
            Operation::Pause => "pause",
            Operation::Resume => "resume",
            Operation::Update => "update",
            Operation::Delete => "delete",
            Operation::DeleteForce => "delete-force",
        }
    }

    /// The program of the container: the prober where it begins to run, or a sleeper that is there already.
    pub fn payload(self) -> Value {
        match self {
            Operation::Create | Operation::Start | Operation::Run | Operation::RunDetached => {
                json!(["/bin/prober", "{}"])
            }
            _ => json!(["/bin/sleep", "1000"]),
        }
    }

    /// Whether it makes the container, so that its failure takes everything away.
    pub fn makes(self) -> bool {
        matches!(self, Operation::Create | Operation::Run | Operation::RunDetached)
    }

    /// The commands before it.
    pub fn setup(self, names: &Names<'_>) -> Vec<Vec<String>> {
        let run = || Operation::RunDetached.line(names);
        match self {
            Operation::Create | Operation::Run | Operation::RunDetached => vec![],
            Operation::Start => vec![Operation::Create.line(names)],
            Operation::Resume => vec![run(), Operation::Pause.line(names)],
            Operation::Delete => vec![run(), Operation::Kill.line(names)],
            _ => vec![run()],
        }
    }

    /// Its arguments.
    pub fn line(self, names: &Names<'_>) -> Vec<String> {
        let Names { id, bundle, pid_file, console, resources, shape } = *names;
        let on_terminal = shape == Shape::Terminal;
        let sent: &[&str] = if on_terminal { &["--console-socket", console] } else { &[] };
        let making = [&["--bundle", bundle, "--pid-file", pid_file][..], sent, &[id]].concat();
        let prober = ["/bin/prober", "{}"];
        let line = match self {
            Operation::Create => [&["create"][..], &making].concat(),
            Operation::Run => vec!["run", "--bundle", bundle, "--pid-file", pid_file, id],
            Operation::RunDetached => [&["run", "--detach"][..], &making].concat(),
            Operation::Start => vec!["start", id],
            Operation::Exec if on_terminal => {
                let head =
                    ["exec", "--tty", "--detach", "--console-socket", console, "--pid-file", pid_file, id];
                [&head[..], &prober].concat()
            }
            Operation::Exec => [&["exec", id][..], &prober].concat(),
            Operation::Kill => vec!["kill", id, "KILL"],
            Operation::Pause => vec!["pause", id],
            Operation::Resume => vec!["resume", id],
            Operation::Update => vec!["update", "--resources", resources, id],
            Operation::Delete => vec!["delete", id],
            Operation::DeleteForce => vec!["delete", "--force", id],
        };
        line.into_iter().map(str::to_owned).collect()
    }

    /// Whether the prober reports when it has succeeded (for `create`: when it is started).
    pub fn is_probed(self) -> bool {
        self.makes() || matches!(self, Operation::Start | Operation::Exec)
    }
}
