//! Memory, and the execution of a program.

use core::ffi::CStr;
use core::marker::PhantomData;

use super::arch::number;
use super::calls::{Answer, Errno, Fd, address, call, text};

/// Maps a file read-only, for good.
pub fn map(fd: &Fd, length: usize) -> Answer<&'static [u8]> {
    const PROT_READ: usize = 1;
    const MAP_PRIVATE: usize = 2;
    let start = call(number::MMAP, [0, length, PROT_READ, MAP_PRIVATE, fd.0 as usize, 0])?;
    // SAFETY: the kernel just gave us this range; it is never unmapped, and our parent doesn't change the file.
    Ok(unsafe { core::slice::from_raw_parts(start as *const u8, length) })
}

/// Fresh zeroed memory for `count` words.
pub fn words(count: usize) -> Answer<&'static mut [usize]> {
    const PROT_READ_WRITE: usize = 3;
    const MAP_PRIVATE_ANONYMOUS: usize = 0x22;
    let length = count * size_of::<usize>();
    let start = call(number::MMAP, [0, length, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, usize::MAX, 0])?;
    // SAFETY: the kernel just gave us this range, page-aligned, and nobody else knows it.
    Ok(unsafe { core::slice::from_raw_parts_mut(start as *mut usize, count) })
}

/// Gives back the stack that earlier steps have used, deeper than the present one.
#[inline(never)]
pub fn give_back_stack() {
    const PAGE: usize = 4096;
    const DEEPEST: usize = 128 * 1024;
    const MADV_DONTNEED: usize = 4;
    // For the rest of this frame and of the call's.
    const IN_USE: usize = 512;
    let here = 0u8;
    let end = (address(&here) - IN_USE) & !(PAGE - 1);
    let _ = call(number::MADVISE, [end - DEEPEST, DEEPEST, MADV_DONTNEED, 0, 0, 0]);
}

/// Fresh memory for `count` group ids.
pub fn group_memory(count: usize) -> Answer<&'static mut [u32]> {
    let words = words(count)?;
    // SAFETY: a word has room for an id and at least its alignment, and the memory is nobody else's.
    Ok(unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), count) })
}

/// As many pointers as fit without asking the kernel for memory.
const FEW_TEXTS: usize = 256;

/// A vector of text pointers, as `execve` wants it.
pub struct Texts<'a> {
    few: [usize; FEW_TEXTS],
    many: Option<&'static mut [usize]>,
    texts: PhantomData<&'a CStr>,
}

impl<'a> Texts<'a> {
    /// Collects texts, and one more; `count` is how many the iterator gives.
    pub fn collect(
        texts: impl Iterator<Item = &'a CStr>,
        count: usize,
        last: Option<&'a CStr>,
    ) -> Answer<Self> {
        // One for the last text, and one for the null pointer at the end.
        let needed = count + 2;
        let many = if needed > FEW_TEXTS { Some(words(needed)?) } else { None };
        let mut vector = Texts { few: [0; FEW_TEXTS], many, texts: PhantomData };
        for (place, each) in vector.pointers_mut().iter_mut().zip(texts.take(count).chain(last)) {
            *place = text(each);
        }
        Ok(vector)
    }

    fn pointers_mut(&mut self) -> &mut [usize] {
        match &mut self.many {
            Some(many) => many,
            None => &mut self.few,
        }
    }

    fn address(&self) -> usize {
        match &self.many {
            Some(many) => address::<[usize]>(many),
            None => address(&self.few),
        }
    }
}

/// Executes a program. Returns only if that fails.
pub fn execve(path: &CStr, arguments: &Texts<'_>, environment: &Texts<'_>) -> Errno {
    match call(number::EXECVE, [text(path), arguments.address(), environment.address(), 0, 0, 0]) {
        Err(errno) => errno,
        Ok(_) => Errno(0),
    }
}
