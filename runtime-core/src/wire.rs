//! How a plan crosses into the init program: flat bytes, bounded reads, no pointers.
//!
//! This file is compiled twice: into the library, which writes, and into the init program, which reads in place
//! and owns nothing. It allocates nowhere and can't panic.

use core::ffi::CStr;
use core::fmt::Debug;
use core::marker::PhantomData;

/// The first word of every message; changes with the format, so that a stale init can't misread a plan.
pub const MAGIC: u32 = 0x6f63_6901;

/// What a value must be able to do to be part of a step, in either form.
pub trait Value: Debug + Clone + PartialEq {}
impl<T: Debug + Clone + PartialEq> Value for T {}

/// Who holds a step's texts and lists: the planner owns them, the init program borrows them from the message.
pub trait Form: Value {
    /// Bytes without NUL, handed to system calls.
    type Text: Value;
    /// A sequence.
    type List<T: Value>: Value;
}

/// The form inside the init program: everything points into the mapped message.
#[derive(Debug, Clone, PartialEq)]
pub struct Borrowed<'a>(PhantomData<&'a ()>);

impl<'a> Form for Borrowed<'a> {
    type Text = &'a CStr;
    type List<T: Value> = List<'a, T>;
}

/// Where the writing side puts bytes.
pub trait Sink {
    /// Appends bytes.
    fn write(&mut self, bytes: &[u8]);
    /// How many bytes were written so far.
    fn position(&self) -> usize;
    /// Replaces the four bytes at `at`, which were written before.
    fn patch(&mut self, at: usize, word: u32);
}

/// A value that can be written into a message.
pub trait Put {
    /// Appends the value.
    fn put(&self, out: &mut dyn Sink);
}

/// A value that can be read from a message. `None` means that the message is malformed.
pub trait Take<'a>: Sized {
    /// Reads one value and moves on.
    fn take(reader: &mut Reader<'a>) -> Option<Self>;
}

/// A bounded view of a message's bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// The next `length` bytes.
    pub fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(head)
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

macro_rules! integers {
    ($($integer:ty),*) => { $(
        impl Put for $integer {
            fn put(&self, out: &mut dyn Sink) {
                out.write(&self.to_ne_bytes());
            }
        }
        impl<'a> Take<'a> for $integer {
            fn take(reader: &mut Reader<'a>) -> Option<Self> {
                let bytes = reader.bytes(size_of::<$integer>())?;
                Some(<$integer>::from_ne_bytes(bytes.try_into().ok()?))
            }
        }
    )* };
}
integers!(u8, u16, u32, u64, i32, i64);

impl Put for bool {
    fn put(&self, out: &mut dyn Sink) {
        u8::from(*self).put(out);
    }
}

impl<'a> Take<'a> for bool {
    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        match u8::take(reader)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Put for CStr {
    fn put(&self, out: &mut dyn Sink) {
        let bytes = self.to_bytes_with_nul();
        (bytes.len() as u32).put(out);
        out.write(bytes);
    }
}

impl<'a> Take<'a> for &'a CStr {
    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        let length = u32::take(reader)? as usize;
        CStr::from_bytes_with_nul(reader.bytes(length)?).ok()
    }
}

/// A sequence inside a message: read again at each pass, never copied.
#[derive(Debug, Clone, PartialEq)]
pub struct List<'a, T> {
    count: u32,
    items: Reader<'a>,
    item: PhantomData<T>,
}

impl<'a, T: Take<'a>> List<'a, T> {
    /// The number of items.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The items in order; ends early at a malformed one.
    pub fn iter(&self) -> impl Iterator<Item = T> + use<'a, T> {
        let mut items = self.items.clone();
        (0..self.count).map_while(move |_| T::take(&mut items))
    }
}

impl<'a, T> Take<'a> for List<'a, T> {
    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        let count = u32::take(reader)?;
        let length = u32::take(reader)? as usize;
        Some(List { count, items: Reader::new(reader.bytes(length)?), item: PhantomData })
    }
}

/// Writes a list whose items are only known by iterating.
pub fn put_list<'i, T: Put + ?Sized + 'i>(items: impl ExactSizeIterator<Item = &'i T>, out: &mut dyn Sink) {
    (items.len() as u32).put(out);
    let length_at = out.position();
    0u32.put(out);
    for item in items {
        item.put(out);
    }
    let length = out.position() - length_at - size_of::<u32>();
    out.patch(length_at, length as u32);
}

/// A whole message: the steps, and the blobs that steps refer to by index.
#[derive(Debug, Clone, PartialEq)]
pub struct Message<'a> {
    steps: u32,
    body: Reader<'a>,
    blobs: List<'a, Blob<'a>>,
}

/// Bytes that a step refers to by index, such as a compiled filter.
#[derive(Debug, Clone, PartialEq)]
pub struct Blob<'a>(pub &'a [u8]);

impl<'a> Take<'a> for Blob<'a> {
    fn take(reader: &mut Reader<'a>) -> Option<Self> {
        let length = u32::take(reader)? as usize;
        reader.bytes(length).map(Blob)
    }
}

impl Put for Blob<'_> {
    fn put(&self, out: &mut dyn Sink) {
        (self.0.len() as u32).put(out);
        out.write(self.0);
    }
}

impl<'a> Message<'a> {
    /// Opens a message; `None` if it is not one.
    pub fn open(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if u32::take(&mut reader)? != MAGIC {
            return None;
        }
        let blobs = List::take(&mut reader)?;
        let steps = u32::take(&mut reader)?;
        Some(Message { steps, body: reader, blobs })
    }

    /// The blob with that index.
    pub fn blob(&self, index: u32) -> Option<&'a [u8]> {
        self.blobs.iter().nth(index as usize).map(|blob| blob.0)
    }

    /// The steps with their numbers; a malformed step is `None` and ends the list.
    pub fn steps<T: Take<'a>>(&self) -> impl Iterator<Item = (u32, Option<T>)> + use<'a, T> {
        let mut body = self.body.clone();
        let mut sound = true;
        (0..self.steps).map_while(move |_| {
            if !sound {
                return None;
            }
            let number = u32::take(&mut body);
            let step = number.and_then(|_| T::take(&mut body));
            sound = step.is_some();
            Some((number.unwrap_or(0), step))
        })
    }
}

/// Writes a whole message: blobs first, then each step with the number that reports about it carry.
pub fn put_message<'i, T: Put + 'i>(
    blobs: &[Blob<'_>],
    steps: impl ExactSizeIterator<Item = (u32, &'i T)>,
    out: &mut dyn Sink,
) {
    MAGIC.put(out);
    put_list(blobs.iter(), out);
    (steps.len() as u32).put(out);
    for (number, step) in steps {
        number.put(out);
        step.put(out);
    }
}

/// What the init program tells the parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// Init stands at the barrier with this step number and waits for the word to go on.
    AtBarrier {
        /// The number of the barrier's step.
        step: u32,
    },
    /// A step failed; init ends after this.
    Failed(Failure),
    /// Init was born once more; a descriptor of the newborn comes along.
    Born {
        /// The number of the step.
        step: u32,
        /// The newborn's process id in our pid namespace.
        pid: u32,
    },
}

/// A failure as facts; the side that holds the plan makes the sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The number of the step that failed.
    pub step: u32,
    /// The errno.
    pub errno: i32,
    /// The code of the [`Call`](crate::step::Call) that failed.
    pub call: u8,
    /// Which item of the step's list it was, from 0.
    pub item: u32,
}

impl Report {
    /// The size of a report on the dialogue.
    pub const SIZE: usize = 14;

    /// The bytes of the report.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let (kind, failure) = match self {
            Report::AtBarrier { step } => (1, Failure { step, errno: 0, call: 0, item: 0 }),
            Report::Failed(failure) => (2, failure),
            Report::Born { step, pid } => (3, Failure { step, errno: 0, call: 0, item: pid }),
        };
        let mut bytes = [0; Self::SIZE];
        let words = [failure.step, failure.errno as u32, failure.item];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        let [.., call, last] = &mut bytes;
        *call = failure.call;
        *last = kind;
        bytes
    }

    /// Reads a report; `None` if these bytes are not one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let step = u32::take(&mut reader)?;
        let errno = i32::take(&mut reader)?;
        let item = u32::take(&mut reader)?;
        let call = u8::take(&mut reader)?;
        let kind = u8::take(&mut reader)?;
        match (kind, reader.is_empty()) {
            (1, true) => Some(Report::AtBarrier { step }),
            (2, true) => Some(Report::Failed(Failure { step, errno, call, item })),
            (3, true) => Some(Report::Born { step, pid: item }),
            _ => None,
        }
    }
}

/// The size, in bytes, up to which a plan is a message; a longer one comes as a file.
pub const SHORT_PLAN: usize = 3072;

/// The byte that lets init go on past a barrier.
pub const GO: u8 = b'g';
