//! Takes defences out of a copy of the source, one after the other, and sees whether a test notices: all, or those with
//! a word of the arguments in their defence or in what they lose.

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match integration::mutants::run(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => complaint("some mutants were noticed by nobody", 1),
        Err(problem) => complaint(&problem.to_string(), 2),
    }
}

fn complaint(text: &str, status: u8) -> ExitCode {
    eprintln!("{text}");
    ExitCode::from(status)
}
