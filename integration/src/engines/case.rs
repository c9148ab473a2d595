//! A case: a small function that panics when an engine did not do what it should.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, panic_any, set_hook, take_hook};

/// A case of an engine.
#[derive(Debug)]
pub struct Case<E: 'static> {
    /// What the table calls it.
    pub name: &'static str,
    run: fn(&E),
}

// Derived, they would ask the same of the engine.
impl<E> Clone for Case<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Case<E> {}

/// A case, to be written into a table.
pub const fn case<E>(name: &'static str, run: fn(&E)) -> Case<E> {
    Case { name, run }
}

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The engine did what it should.
    Passed,
    /// It did not: what was seen instead.
    Failed(String),
    /// This machine does not allow it, whatever the runtime: why.
    NotHere(String),
}

/// Says that this machine does not allow what the case is about.
///
/// # Panics
/// Always: that ends the case.
pub fn not_here(why: &str) -> ! {
    panic_any(NotHere(why.to_owned()))
}

struct NotHere(String);

thread_local! {
    /// Where and why the case on this thread panicked last.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
    static WITHIN: RefCell<bool> = const { RefCell::new(false) };
}

impl<E> Case<E> {
    /// Runs it.
    pub fn judge(&self, engine: &E) -> Verdict {
        judge(|| (self.run)(engine))
    }
}

/// Runs anything that panics when it fails.
pub fn judge(run: impl FnOnce()) -> Verdict {
    let outer = WITHIN.replace(true);
    let answer = catch_unwind(AssertUnwindSafe(run));
    WITHIN.set(outer);
    match answer {
        Ok(()) => Verdict::Passed,
        Err(thrown) => match thrown.downcast::<NotHere>() {
            Ok(not_here) => Verdict::NotHere(not_here.0),
            Err(_) => Verdict::Failed(PANIC.take()),
        },
    }
}

/// Keeps panics of cases for the report instead of printing them between each other's lines.
pub fn quiet_panics() {
    let usual = take_hook();
    set_hook(Box::new(move |panic: &PanicHookInfo<'_>| match WITHIN.with_borrow(|&within| within) {
        true => PANIC.set(panic.to_string()),
        false => usual(panic),
    }));
}

#[cfg(test)]
mod tests {
    use super::{Verdict, judge, not_here};

    #[test]
    fn a_panic_is_a_failure_and_an_excuse_is_none() {
        assert_eq!(judge(|| ()), Verdict::Passed);
        assert!(matches!(judge(|| panic!("seen")), Verdict::Failed(_)));
        assert_eq!(judge(|| not_here("no tape drive")), Verdict::NotHere("no tape drive".into()));
    }
}
