//! The whole world of a payload, foretold from its configuration and its caller's world, without the library's code.
//!
//! Every value that the prober tells has to be foretold, and everything foretold has to be seen: a runtime that ignores
//! an error on its way makes a weaker sandbox, and shows it here. [`expected`](crate::expected) holds every runtime to
//! what the specification promises; this holds ours to all there is.

mod calls;
mod capabilities;
mod mounts;
mod outside;
mod places;
mod process;
mod wishes;

use std::fs;

use serde_json::{Value, json};

use crate::test::Test;
use crate::{Bundle, Container, PROBER};

pub use outside::differences_outside;
pub use wishes::{Wish, Wishes};

/// What a world is foretold from.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The configuration, as it is in `config.json`.
    pub config: &'a Value,
    /// What the prober sees where the runtime is called.
    pub caller: &'a Caller,
    /// The container's id.
    pub id: &'a str,
}

/// The world of the runtime's caller, as the prober sees it there: with all capabilities, and with none.
#[derive(Debug, Clone)]
pub struct Caller {
    privileged: Value,
    bare: Value,
}

impl Caller {
    /// Has a look around with the prober, where this test's commands run.
    ///
    /// # Panics
    /// When the prober prints no document there.
    pub fn of(test: &Test, config: &Value) -> Self {
        Self::asking(config, |question| {
            let prober = crate::runtime::binaries().join("prober");
            test.program(&prober, &[question]).run().ok().stdout
        })
    }

    /// The same, by whoever can run the prober with a question there.
    pub fn asking(config: &Value, run: impl Fn(&str) -> String) -> Self {
        let question = places::question_outside(config);
        let ask = |question: &Value| document(&run(&question.to_string()));
        let mut bare = question.clone();
        bare["bare"] = json!(true);
        Self { privileged: ask(&question), bare: ask(&bare) }
    }

    fn at(&self, pointer: &str) -> Value {
        self.privileged.pointer(pointer).cloned().unwrap_or_default()
    }
}

/// Makes the prober the program of a bundle, with the questions that its configuration gives rise to.
pub fn ask(bundle: &mut Bundle) {
    bundle.edit(|config| {
        config["process"]["args"] = json!([PROBER, places::question(config).to_string()]);
    });
}

/// The document that the prober has printed.
///
/// # Panics
/// When it has printed none.
pub fn document(printed: &str) -> Value {
    serde_json::from_str(printed)
        .unwrap_or_else(|error| panic!("the prober printed no document ({error}): {printed}"))
}

/// All that a payload should see.
pub fn foretell(case: &Case<'_>) -> Wishes {
    let mut wishes = Wishes::default();
    process::foretell(case, &mut wishes);
    capabilities::foretell(case, &mut wishes);
    calls::foretell(case, &mut wishes);
    mounts::foretell(case, &mut wishes);
    places::foretell(case, &mut wishes);
    wishes
}

/// Every way in which what the prober printed is not what is foretold.
///
/// # Panics
/// When it printed no document.
pub fn differences(case: &Case<'_>, printed: &str) -> Vec<String> {
    foretell(case).differences(&mounts::by_place(document(printed)))
}

/// Creates, looks at, starts and finishes a container of this bundle: every difference, inside and outside, and how many
/// values were compared. `caller` sees what the runtime's caller sees.
///
/// # Panics
/// When a command fails.
pub fn compare(test: &Test, bundle: &mut Bundle, caller: &Caller) -> (Vec<String>, usize) {
    ask(bundle);
    let container: Container<'_> = test.create(bundle);
    let mut differences = differences_outside(&bundle.config, &container);
    container.start().ok();
    container.wait();
    let said = container.stdout();
    let case = Case { config: &bundle.config, caller, id: &container.id };
    let wishes = foretell(&case);
    differences.extend(wishes.differences(&mounts::by_place(document(&said))));
    container.delete().ok();
    (differences, wishes.len())
}

impl Case<'_> {
    fn asked(&self, pointer: &str) -> Option<&Value> {
        self.config.pointer(pointer).filter(|value| !value.is_null())
    }

    fn or(&self, pointer: &str, default: Value) -> Value {
        self.asked(pointer).cloned().unwrap_or(default)
    }

    fn list(&self, pointer: &str) -> impl Iterator<Item = &Value> + use<'_> {
        self.config.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
    }

    fn texts(&self, pointer: &str) -> impl Iterator<Item = &str> + use<'_> {
        self.list(pointer).filter_map(Value::as_str)
    }

    fn flag(&self, pointer: &str) -> bool {
        self.asked(pointer) == Some(&json!(true))
    }

    fn namespace(&self, kind: &str) -> Space {
        match self.list("/linux/namespaces").find(|namespace| namespace["type"] == kind) {
            None => Space::Shared,
            Some(namespace) => match namespace["path"].as_str() {
                None => Space::New,
                Some(path) => {
                    Space::Joined(fs::read_link(path).unwrap_or_default().to_string_lossy().into_owned())
                }
            },
        }
    }

    fn is_new(&self, kind: &str) -> bool {
        self.namespace(kind) == Space::New
    }

    fn in_user_namespace(&self) -> bool {
        self.namespace("user") != Space::Shared
    }

    fn user(&self) -> u64 {
        self.asked("/process/user/uid").and_then(Value::as_u64).unwrap_or(0)
    }
}

/// Where a namespace comes from.
#[derive(Debug, PartialEq, Eq)]
enum Space {
    Shared,
    New,
    /// The link of the one that is joined.
    Joined(String),
}
