//! A payload that takes huge pages.

/// Takes this many pages of 2 MiB, and says so; the kernel ends it if it may not have them.
pub(crate) fn take(pages: usize) {
    const SIZE: usize = 2 << 20;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB | libc::MAP_HUGE_2MB;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping, of no file.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), pages * SIZE, access, flags, -1, 0) };
    assert!(start != libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
    for page in 0..pages {
        // SAFETY: the byte lies in the mapping, which lasts as long as the process.
        unsafe { start.cast::<u8>().add(page * SIZE).write_volatile(1) };
    }
    println!("{pages} taken");
}
