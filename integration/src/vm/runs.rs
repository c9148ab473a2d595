//! Rows of the matrix, run: on this machine one after the other, then in guests, a few side by side.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use super::report::{Case, Column, read};
use super::row::{Place, Row};
use super::{Built, Files, Guest, Job};
use crate::engines::Verdict;

/// How many guests run at a time: more would only wait for each other.
const SIDE_BY_SIDE: usize = 2;

/// Where the workspace was when the tests were built.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Runs all rows; `progress` hears a sentence about each.
///
/// # Errors
/// When what guests bring along can't be put on a disk.
pub fn all(rows: &[Row], built: &Built, progress: impl Fn(String) + Sync) -> io::Result<Vec<Column>> {
    let (guests, host): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.guest().is_some());
    let timed = |row: &Row, run: &dyn Fn() -> io::Result<Vec<u8>>| {
        let start = Instant::now();
        let column = column(row, run);
        progress(format!("{}: {} tests in {:.0?}", row.place, column.cases.len(), start.elapsed()));
        column
    };
    let mut columns: Vec<_> = host.into_iter().map(|row| timed(row, &|| on_host(row, built))).collect();
    if !guests.is_empty() {
        let files = files(built)?;
        let disk = files.disk()?;
        columns.extend(side_by_side(&guests, |row| timed(row, &|| in_guest(row, &disk))));
    }
    Ok(columns)
}

/// What guests find below `/vm`: the programs, and what tests read beside the source.
fn files(built: &Built) -> io::Result<Files> {
    let mut files = Files::new()?;
    built.add_to(&mut files)?;
    for (path, directory) in [("runtime-core/tests", "source/runtime-core"), ("README.md", "source")] {
        files.add(&Path::new(SOURCE).join(path), directory)?;
    }
    Ok(files)
}

/// Does something with each row; answers come in the order of the rows.
fn side_by_side(rows: &[&Row], run: impl Fn(&Row) -> Column + Sync) -> Vec<Column> {
    let jobs = Mutex::new(rows.iter().enumerate());
    let columns = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let job = jobs.lock().expect("no thread panics here").next();
            let Some((place, row)) = job else { break };
            let column = run(row);
            columns.lock().expect("no thread panics here").insert(place, column);
        }
    };
    thread::scope(|scope| (0..SIDE_BY_SIDE).for_each(|_| drop(scope.spawn(work))));
    columns.into_inner().expect("no thread panics here").into_values().collect()
}

/// What tests said in a place, and what they didn't.
fn column(row: &Row, run: &dyn Fn() -> io::Result<Vec<u8>>) -> Column {
    let failed = |error: io::Error| vec![Case::new("(place)", "(all)", Verdict::Failed(error.to_string()))];
    let mut cases = run().map_or_else(failed, |said| read(&String::from_utf8_lossy(&said)));
    cases.extend(row.left_out());
    Column { place: row.place.to_string(), kernel: kernel(row.place), cases }
}

fn kernel(place: Place) -> String {
    let own = || rustix::system::uname().release().to_string_lossy().into_owned();
    place.guest().map_or_else(own, |guest| guest.kernel.version().unwrap_or_default())
}

/// As cargo would run them, but for the runtime, which is built already.
fn on_host(row: &Row, built: &Built) -> io::Result<Vec<u8>> {
    let script = row.script(|suite| built.test(suite));
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env("RUNTIME", built.runtime());
    Ok(shell.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?.stdout)
}

fn in_guest(row: &Row, disk: &Path) -> io::Result<Vec<u8>> {
    let script = format!(
        "export RUNTIME=/vm/bin/runtime\n\
         mkdir -p '{SOURCE}/../' && mkdir -p '{SOURCE}' && cp -r /vm/source/. '{SOURCE}/'\n{}",
        row.script(|suite| format!("/vm/bin/deps/{suite}"))
    );
    let guest: Guest = row.guest().ok_or(io::ErrorKind::InvalidInput)?;
    let job = Job { script, files: disk.to_owned(), time: row.time() };
    let mut said = Vec::new();
    let mut ended = guest.run(&job, &mut said);
    // Another one has a clock that goes.
    if ended.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut) {
        said.clear();
        ended = guest.run(&job, &mut said);
    }
    if let Err(error) = ended {
        said.extend(format!("\n=== suite (guest)\n{error}\n=== status 1\n").into_bytes());
    }
    Ok(said)
}
