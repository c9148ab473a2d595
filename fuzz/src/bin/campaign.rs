//! Fuzzes one target after the other, guided by coverage, on a stable toolchain: `make fuzz ARGS="TARGET… SECONDS"`.
//!
//! Only AddressSanitizer would need a nightly compiler, and there is nothing for it to see in safe code. What a run took
//! is added to the table in `specs/fuzzing.md`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use runtime_fuzz::{TARGETS, seeds};

/// In MiB.
const MEMORY: u32 = 256;

/// Waiting, in seconds. Work is measured in the targets, where a busy machine makes no difference.
const HANG: u32 = 30;

const LEDGER: &str = "specs/fuzzing.md";

fn main() -> ExitCode {
    let mut words: Vec<String> = env::args().skip(1).collect();
    let seconds = words.pop_if(|last| last.parse::<u32>().is_ok()).unwrap_or_else(|| "60".into());
    let known = |name: &String| TARGETS.iter().any(|target| target.name == name);
    if let Some(unknown) = words.iter().find(|name| !known(name)) {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("there is no target {unknown:?}; there are {}", names.join(", "));
        return ExitCode::FAILURE;
    }
    let chosen =
        TARGETS.iter().filter(|target| words.is_empty() || words.iter().any(|word| word == target.name));
    let failed: Vec<&str> = chosen
        .filter(|target| !fuzz(target.name, target.longest, &seconds))
        .map(|target| target.name)
        .collect();
    if failed.is_empty() { ExitCode::SUCCESS } else { complain(&failed) }
}

fn complain(failed: &[&str]) -> ExitCode {
    eprintln!("failed: {}; what made them fail is in fuzz/artifacts", failed.join(", "));
    ExitCode::FAILURE
}

/// Whether the target found nothing wrong for so long.
fn fuzz(name: &str, longest: usize, seconds: &str) -> bool {
    let Some(program) = build(name) else { return false };
    let place = Path::new("fuzz");
    let (corpus, artifacts) = (place.join("corpus").join(name), place.join("artifacts").join(name));
    for directory in [&corpus, &artifacts] {
        fs::create_dir_all(directory).expect("a directory below fuzz");
    }
    for (number, seed) in seeds(name).iter().enumerate() {
        fs::write(corpus.join(format!("seed-{number}")), seed).expect("a file below fuzz");
    }
    let before = used_by_children();
    let sound = Command::new(program)
        .arg(&corpus)
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args([format!("-max_len={longest}"), format!("-max_total_time={seconds}")])
        .args([format!("-rss_limit_mb={MEMORY}"), format!("-timeout={HANG}")])
        .args(["-print_final_stats=1", "-verbosity=1"])
        .status()
        .is_ok_and(|status| status.success());
    let minutes = used_by_children() - before;
    println!("{name}: {minutes:.1} minutes of a processor, {}", if sound { "sound" } else { "FAILED" });
    add_to_ledger(name, minutes);
    sound
}

/// With counters in the workspace's own crates, and linked dynamically: the fuzzer looks up what it stands in for.
fn build(name: &str) -> Option<PathBuf> {
    let place = Path::new("target").join("fuzz");
    let triple = env::consts::ARCH.to_owned() + "-unknown-linux-gnu";
    let wrapper = std::path::absolute("fuzz/instrument").ok()?;
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--package", "runtime-fuzz", "--features", "libfuzzer", "--bin", name])
        .arg("--target-dir")
        .arg(&place)
        .env("RUSTC_WORKSPACE_WRAPPER", wrapper)
        // In the place of the workspace's own, which link statically.
        .env("RUSTFLAGS", "-Crelocation-model=pic")
        .status();
    let program = place.join(triple).join("debug").join(name);
    built.is_ok_and(|status| status.success()).then_some(program)
}

/// The minutes of a processor that children took that have ended (proc_pid_stat(5)).
fn used_by_children() -> f64 {
    const TICKS_PER_MINUTE: f64 = 6000.0;
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(13).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_MINUTE
}

/// Adds to the minutes in the target's row, which begins with its name and ends with them.
fn add_to_ledger(name: &str, minutes: f64) {
    let Ok(page) = fs::read_to_string(LEDGER) else { return };
    let start = format!("| `{name}` |");
    let line = |line: &str| match line.strip_suffix(" |").and_then(|row| row.rsplit_once("| ")) {
        Some((row, sum)) if line.starts_with(&start) => {
            format!("{row}| {:.1} |\n", sum.parse::<f64>().unwrap_or_default() + minutes)
        }
        _ => format!("{line}\n"),
    };
    if let Err(error) = fs::write(LEDGER, page.lines().map(line).collect::<String>()) {
        eprintln!("{LEDGER}: {error}");
    }
}
