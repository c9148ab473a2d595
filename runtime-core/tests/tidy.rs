//! Conventions that run: what a reviewer would otherwise have to look for in every change.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::fs;
use std::path::{Path, PathBuf};

/// A source file of the workspace.
struct Source {
    /// Relative to the workspace.
    path: String,
    text: String,
}

/// Files that may be longer than the rest, and why.
const LONG: [(&str, &str); 4] = [
    ("integration/src/advisories.rs", "one table, with a row for each advisory"),
    ("runtime-core/src/step.rs", "one vocabulary, with a line of documentation for each word"),
    ("runtime-core/src/spec/tests.rs", "one rule after the other"),
    ("runtime-core/src/state/tests.rs", "one case after the other"),
];

const LONGEST: usize = 450;

/// How many lines above an unsafe block its reason may begin.
const REASON_WITHIN: usize = 3;

/// Where `unsafe` may be written.
const UNSAFE: [&str; 6] = [
    "runtime-core/src/sys/",
    "runtime-core/src/launch/clone.rs",
    "runtime-core/init/sys/",
    "runtime-core/examples/server.rs",
    "integration/",
    "fuzz/src/jail.rs",
];

#[test]
fn every_file_says_first_what_it_is() {
    refuse("does not begin with //!", |source| !source.text.starts_with("//! "));
}

#[test]
fn files_are_short() {
    refuse("is too long: split it, or list it with a reason", |source| {
        source.production().lines().count() > LONGEST && !LONG.iter().any(|(path, _)| *path == source.path)
    });
    let stale = |path: &str| !sources().iter().any(|source| source.path == path && source.lines() > LONGEST);
    let stale: Vec<_> = LONG.iter().filter(|(path, _)| stale(path)).collect();
    assert!(stale.is_empty(), "no longer long: {stale:?}");
}

#[test]
fn unsafe_is_fenced() {
    refuse_lines("writes unsafe where it may not be", |source, line| {
        !UNSAFE.iter().any(|place| source.path.starts_with(place)) && has_word(line, "unsafe")
    });
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    let mut bare = Vec::new();
    for source in sources() {
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let block = code(line).contains(concat!("unsafe", " {"))
                || code(line).trim_start().starts_with(concat!("unsafe", " impl"));
            let reasons = &lines[number.saturating_sub(REASON_WITHIN)..=number];
            if block && !reasons.iter().any(|line| line.contains("SAFETY:")) {
                bare.push(source.at(number));
            }
        }
    }
    assert_none("unsafe without SAFETY", bare);
}

#[test]
fn nothing_is_left_for_later_or_for_the_developer() {
    let words = [concat!("todo", "!"), concat!("unimplemented", "!"), concat!("dbg", "!(")];
    refuse_lines("is unfinished", |_, line| words.iter().any(|word| line.contains(word)));
}

#[test]
fn the_library_and_init_print_nothing() {
    refuse_lines("prints", |source, line| {
        let library =
            source.path.starts_with("runtime-core/src/") || source.path.starts_with("runtime-core/init/");
        library
            && ["println!", "print!(", "io::stdout()", "io::stderr()"].iter().any(|word| line.contains(word))
    });
}

#[test]
fn the_library_reads_no_environment_and_never_exits() {
    refuse_lines("depends on its caller's surroundings", |source, line| {
        let words = ["env::var", "env::vars", "env::args", "env::set_", "home_dir", "process::exit"];
        source.path.starts_with("runtime-core/src/") && words.iter().any(|word| line.contains(word))
    });
}

#[test]
fn init_stands_alone() {
    refuse_lines("needs the standard library", |source, line| {
        source.path.starts_with("runtime-core/init/")
            && ["use std", "std::", "extern crate", "alloc::"].iter().any(|word| line.contains(word))
    });
}

#[test]
fn planning_does_no_io() {
    let words = [
        "std::fs",
        "rustix::",
        "File::",
        "sys::",
        "std::env",
        "std::net",
        "std::process",
        "Instant",
        "SystemTime",
    ];
    refuse_lines("does I/O", |source, line| {
        source.path.starts_with("runtime-core/src/plan/") && words.iter().any(|word| line.contains(word))
    });
}

/// The past is one room: only `state` removes and renames what it keeps.
#[test]
fn only_state_removes_files_of_the_state_directory() {
    refuse_lines("removes or renames files", |source, line| {
        // `publish` gives the pid file and cached filters their names.
        let allowed = ["state/", "cgroup/", "seccomp/cache.rs", "publish.rs"].iter();
        let allowed = allowed.map(|place| format!("runtime-core/src/{place}"));
        source.path.starts_with("runtime-core/src/")
            && ["unlinkat(", "unlink(", "renameat(", "remove_file(", "remove_dir"]
                .iter()
                .any(|word| line.contains(word))
            && !allowed.into_iter().any(|place| source.path.starts_with(&place))
    });
}

#[test]
fn names_of_files_are_concerns() {
    let words = ["_linux", "utils", "common", "helper", "manager", "impl", "misc"];
    refuse("has a name that says nothing", |source| {
        let name = source.path.rsplit('/').next().unwrap_or_default();
        words.iter().any(|word| name.contains(word))
    });
}

#[test]
fn no_file_knows_the_machine_that_it_was_written_on() {
    let places = [
        concat!("/wo", "rk/"),
        concat!("/tmp/", "wt"),
        concat!("/home/", "user"),
        concat!("/ro", "ot/.cargo"),
    ];
    let mut named = Vec::new();
    for path in files(&workspace(), &|path| is_text(path)) {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let lines =
            text.lines().enumerate().filter(|(_, line)| places.iter().any(|place| line.contains(place)));
        named.extend(lines.map(|(number, line)| format!("{}:{}: {line}", path.display(), number + 1)));
    }
    assert_none("names a machine", named);
}

impl Source {
    /// The file without the tests at its end.
    fn production(&self) -> &str {
        let tests = self.text.find("#[cfg(test)]\nmod tests {");
        &self.text[..tests.unwrap_or(self.text.len())]
    }

    fn lines(&self) -> usize {
        self.production().lines().count()
    }

    fn at(&self, number: usize) -> String {
        format!("{}:{}: {}", self.path, number + 1, self.text.lines().nth(number).unwrap_or_default().trim())
    }
}

/// Code, without comments, strings' insides not considered, and without the names of lints.
fn code(line: &str) -> &str {
    let line = line.split("//").next().unwrap_or_default();
    if line.trim_start().starts_with("#[") || line.trim_start().starts_with("#![") { "" } else { line }
}

fn has_word(line: &str, word: &str) -> bool {
    let letter = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.split(|each| !letter(each)).any(|each| each == word)
}

#[track_caller]
fn refuse(what: &str, wrong: impl Fn(&Source) -> bool) {
    let found = sources().into_iter().filter(|source| wrong(source)).map(|source| source.path).collect();
    assert_none(what, found);
}

/// Looks at each line of code outside of tests.
#[track_caller]
fn refuse_lines(what: &str, wrong: impl Fn(&Source, &str) -> bool) {
    let mut found = Vec::new();
    for source in
        sources().iter().filter(|source| !source.path.ends_with("tests/tidy.rs") && !is_test(&source.path))
    {
        let lines = source.production().lines().enumerate();
        found
            .extend(lines.filter(|(_, line)| wrong(source, code(line))).map(|(number, _)| source.at(number)));
    }
    assert_none(what, found);
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.ends_with("_tests.rs")
}

#[track_caller]
fn assert_none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources() -> Vec<Source> {
    let workspace = workspace();
    let rust = |path: &Path| path.extension().is_some_and(|ending| ending == "rs");
    let found: Vec<Source> = files(&workspace, &rust)
        .into_iter()
        .map(|path| Source {
            text: fs::read_to_string(&path).unwrap(),
            path: path.strip_prefix(&workspace).unwrap().to_string_lossy().into_owned(),
        })
        .collect();
    assert!(found.len() > 100, "the sources are not where they are looked for");
    found
}

fn is_text(path: &Path) -> bool {
    let endings = ["rs", "toml", "md", "json", "txt", "yml", "yaml", "sh", "c"];
    path.extension().is_some_and(|ending| endings.iter().any(|each| ending == *each))
}

/// All files below a directory, but for what is built and what is hidden.
fn files(directory: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if name.starts_with('.') || name == "target" || name == "corpus" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&path, wanted));
        } else if wanted(&path) {
            found.push(path);
        }
    }
    found.sort();
    found
}
