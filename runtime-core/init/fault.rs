//! How a step fails: which call, with which errno, at which item. The parent makes the sentence.

use crate::step::Call;
use crate::sys::{Answer, Errno};

/// A failed call or check.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub call: Call,
    pub errno: Errno,
    pub item: u32,
}

/// What a step answers.
pub type Outcome<T = ()> = Result<T, Fault>;

impl Fault {
    pub fn new(call: Call, errno: Errno) -> Self {
        Fault { call, errno, item: 0 }
    }

    /// The plan can't be read: a bug on the other side.
    pub fn malformed() -> Self {
        Fault::new(Call::Message, Errno::INVAL)
    }

    /// Says which item of the step's list it was.
    pub fn item(self, item: usize) -> Self {
        Fault { item: item as u32, ..self }
    }
}

/// Names the call that an answer comes from.
pub trait Of<T> {
    fn of(self, call: Call) -> Outcome<T>;
}

impl<T> Of<T> for Answer<T> {
    fn of(self, call: Call) -> Outcome<T> {
        self.map_err(|errno| Fault::new(call, errno))
    }
}
