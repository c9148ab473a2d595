//! Takes defences out of a copy of the source, one after the other, and sees whether a test notices: all, or those with
//! a word of the arguments in their defence or in what they lose.

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match integration::mutants::run(&words) {
        Ok(true) => {}
        Ok(false) => {
            eprintln!("some mutants were noticed by nobody");
            std::process::exit(1);
        }
        Err(problem) => {
            eprintln!("{problem}");
            std::process::exit(2);
        }
    }
}
