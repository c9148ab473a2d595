//! Prints the smallest limit of memory, in KiB, under which the runtime named by `RUNTIME` starts a container: `smallest TRIES`.
//! It is meant for a guest, which is thrown away with all that a runtime leaves behind.

#![allow(clippy::print_stdout, reason = "this is its answer")]

use integration::Test;
use integration::smallest::smallest;

fn main() {
    let tries = std::env::args().nth(1).and_then(|word| word.parse().ok()).expect("smallest TRIES");
    let test = Test::new();
    println!("{}", smallest(&test, tries));
    // What peers leave behind is not the question here.
    std::mem::forget(test);
}
