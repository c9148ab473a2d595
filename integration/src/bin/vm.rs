//! Virtual machines from the command line: `vm prepare`, `vm run [OPTION …] -- COMMAND …`, `vm test [WORD …]`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that speaks to people")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use integration::engines::Verdict;
use integration::vm::matrix::{self, Row};
use integration::vm::report::{Case, Column, markdown, read};
use integration::vm::{self, Built, Files, Guest, Image, Job, Kernel, World};

const USAGE: &str = "\
vm prepare                      fetches and makes what guests need
vm run [OPTION ...] -- COMMAND  runs a command in a guest; its status is the command's
    --world v2|v1|hybrid|systemd|systemd-v1
    --kernel 6.1|6.12|newest
    --engines                   boots a guest that has engines installed
    --memory MEBIBYTES
    --append WORD               adds to the kernel's command line
    --with FILE                 puts a file or a directory into the guest's /vm
    --built                     puts the runtime and the tests into the guest's /vm/bin
    --time SECONDS
vm test [WORD ...]              runs the tests in guests; words choose worlds, kernels and programs of tests
";

/// How many guests run at a time: a guest waits often.
const SIDE_BY_SIDE: usize = 3;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["prepare"] => vm::prepare(&[Image::Plain]).map(|()| 0),
        ["test", rest @ ..] => test(rest),
        ["run", rest @ ..] => Run::parsed(rest).and_then(Run::go),
        _ => Err(io::Error::other(USAGE)),
    };
    done.map_or_else(
        |error| {
            eprintln!("vm: {error}");
            ExitCode::from(125)
        },
        ExitCode::from,
    )
}

/// Runs the chosen tests, and writes the table if nothing was left out.
fn test(words: &[&str]) -> io::Result<u8> {
    let (built, mut files) = (Built::new()?, Files::new()?);
    let names: Vec<_> = built.names().collect();
    let rows = matrix::chosen(words, &names)?;
    vm::prepare(&rows.iter().map(Row::image).collect::<Vec<_>>())?;
    built.add_to(&mut files)?;
    // What tests read of the source.
    for (path, directory) in [("runtime-core/tests", "source/runtime-core"), ("README.md", "source")] {
        files.add(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path), directory)?;
    }
    let disk = files.disk()?;
    let columns = all(&rows, &disk);
    let cases =
        || columns.iter().flat_map(|column| column.cases.iter().map(move |case| (&column.name, case)));
    for (place, case) in cases() {
        if let Verdict::Failed(why) = &case.verdict {
            println!("---- {place}: {}, {}\n{why}", case.suite, case.name);
        }
    }
    if words.is_empty() {
        fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../specs/platforms.md"), markdown(&columns))?;
    }
    let count = |wanted: fn(&Verdict) -> bool| cases().filter(|(_, case)| wanted(&case.verdict)).count();
    let failed = count(|verdict| matches!(verdict, Verdict::Failed(_)));
    let skipped = count(|verdict| matches!(verdict, Verdict::NotHere(_)));
    println!("{} passed, {failed} failed, {skipped} skipped", count(|verdict| *verdict == Verdict::Passed));
    Ok(u8::from(failed > 0))
}

/// All guests, a few side by side.
fn all(rows: &[Row], disk: &Path) -> Vec<Column> {
    let jobs = Mutex::new(rows.iter().enumerate());
    let columns = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                loop {
                    let job = jobs.lock().expect("no thread panics here").next();
                    let Some((place, row)) = job else { break };
                    let column = column(row, disk);
                    columns.lock().expect("no thread panics here").insert(place, column);
                }
            });
        }
    });
    columns.into_inner().expect("no thread panics here").into_values().collect()
}

fn column(row: &Row, disk: &Path) -> Column {
    let (start, mut said) = (Instant::now(), Vec::new());
    let ended = row.guest().run(&row.job(disk.to_owned()), &mut said);
    let mut cases = read(&String::from_utf8_lossy(&said));
    if let Err(error) = ended {
        let verdict = Verdict::Failed(error.to_string());
        cases.push(Case { suite: "(guest)".into(), name: row.name(), verdict });
    }
    println!("{}: {} tests in {:.0?}", row.name(), cases.len(), start.elapsed());
    Column { name: row.name(), kernel: row.kernel.version().unwrap_or_default(), cases }
}

/// One command in one guest.
struct Run {
    guest: Guest,
    files: Files,
    built: bool,
    time: Duration,
    command: String,
}

impl Run {
    fn parsed(words: &[&str]) -> io::Result<Self> {
        let guest = Guest::new(World::V2, Kernel::V6_12);
        let (time, command) = (Duration::from_secs(600), String::new());
        let mut run = Self { guest, files: Files::new()?, built: false, time, command };
        let mut rest = words;
        loop {
            rest = match rest {
                ["--", command @ ..] if !command.is_empty() => {
                    run.command = command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
                    return Ok(run);
                }
                ["--built", rest @ ..] => {
                    run.built = true;
                    rest
                }
                ["--engines", rest @ ..] => {
                    run.guest.image = Image::Engines;
                    rest
                }
                [option, value, rest @ ..] => {
                    run.set(option, value)?;
                    rest
                }
                _ => return Err(io::Error::other(USAGE)),
            }
        }
    }

    fn set(&mut self, option: &str, value: &str) -> io::Result<()> {
        let wrong = || io::Error::other(format!("{option} {value}: no such option or value\n{USAGE}"));
        match option {
            "--world" => self.guest.world = World::named(value).ok_or_else(wrong)?,
            "--kernel" => self.guest.kernel = Kernel::named(value).ok_or_else(wrong)?,
            "--memory" => self.guest.memory = value.parse().map_err(|_| wrong())?,
            "--append" => self.guest.append.push(value.into()),
            "--with" => self.files.add(value.as_ref(), ".")?,
            "--time" => self.time = Duration::from_secs(value.parse().map_err(|_| wrong())?),
            _ => return Err(wrong()),
        }
        Ok(())
    }

    fn go(mut self) -> io::Result<u8> {
        vm::prepare(&[self.guest.image])?;
        if self.built {
            Built::new()?.add_to(&mut self.files)?;
        }
        let job = Job { script: self.command, files: self.files.disk()?, time: self.time };
        self.guest.run(&job, io::stdout())
    }
}

/// A word as the shell takes it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
