//! Virtual machines from the command line: `vm prepare`, `vm run [OPTION …] -- COMMAND …`, `vm test [WORD …]`,
//! `vm memory`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that speaks to people")]

use std::process::ExitCode;
use std::time::Duration;
use std::{fs, io, thread};

use integration::vm::report::{failures, markdown, total};
use integration::vm::{self, Built, Files, Guest, Image, Job, Kernel, World, memory, runs, words};

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
vm test [WORD ...]              runs the tests on this machine and in guests; words choose: host, guests, v2, v1,
                                hybrid, systemd, systemd-v1, users, 6.1, 6.12, newest, ENOSYS, EPERM, and programs of
                                tests; \"usual\" leaves out what is run only where everything is
vm memory                       finds the smallest memory that containers start with, beside runtimes in PEERS
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["prepare"] => vm::prepare(&[Image::Plain]).map(|()| 0),
        ["test", rest @ ..] => test(rest),
        ["memory"] => memory(),
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
    let needs_guests = words != ["host"];
    // Cargo keeps the processors busy, and fetching the network.
    let (built, fetched) = thread::scope(|scope| {
        let fetched = needs_guests.then(|| scope.spawn(|| vm::prepare(&[Image::Plain])));
        (Built::new(), fetched.map_or(Ok(()), |thread| thread.join().expect("fetching doesn't panic")))
    });
    let built = built?;
    let names: Vec<_> = built.names().collect();
    let rows = words::chosen(words, &names)?;
    let images: Vec<_> = rows.iter().filter_map(|row| Some(row.guest()?.image)).collect();
    if !images.is_empty() {
        fetched?;
        vm::prepare(&images)?;
    }
    let columns = runs::all(&rows, &built, |sentence| println!("{sentence}"))?;
    print!("{}", failures(&columns));
    if words.is_empty() {
        fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../specs/platforms.md"), markdown(&columns))?;
    }
    let total = total(&columns);
    println!("{total}");
    Ok(u8::from(total.failed > 0))
}

/// Measures how little memory is enough, ours and the peers in `PEERS`, and writes the table.
fn memory() -> io::Result<u8> {
    vm::prepare(&[Image::Plain])?;
    let places = std::env::var_os("PEERS").unwrap_or_default();
    let measured = memory::measure(&std::env::split_paths(&places).collect::<Vec<_>>())?;
    let table = memory::markdown(&measured);
    print!("{table}");
    fs::write(memory::page(), table)?;
    Ok(u8::from(!memory::first_is_least(&measured)))
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
