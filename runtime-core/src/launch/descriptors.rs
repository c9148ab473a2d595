//! Which descriptors the program gets, and how they reach their numbers.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;

/// What to duplicate, and the number that it gets.
type Moves = Vec<(RawFd, RawFd)>;

/// The descriptors that the user's program inherits, by number: 0, 1, 2, and preserved ones from 3 on.
#[derive(Debug, Clone)]
pub(crate) struct Descriptors<'a> {
    inherited: Vec<BorrowedFd<'a>>,
}

impl<'a> Descriptors<'a> {
    /// Standard input, output and error, then what is preserved, in order.
    pub(crate) fn new(inherited: Vec<BorrowedFd<'a>>) -> Self {
        Descriptors { inherited }
    }

    /// The first number that is not inherited.
    pub(super) fn end(&self) -> RawFd {
        self.inherited.len() as RawFd
    }

    /// What to duplicate where, so that no target is another one's source; the copies live as long as the answer.
    pub(super) fn moves(&self) -> Result<(Moves, Vec<OwnedFd>), Errno> {
        let mut copies = Vec::new();
        let mut moves = Vec::new();
        for (target, fd) in self.inherited.iter().enumerate() {
            let (target, mut source) = (target as RawFd, fd.as_raw_fd());
            if source != target && source < self.end() {
                let copy = self.copy(*fd)?;
                source = copy.as_raw_fd();
                copies.push(copy);
            }
            moves.push((source, target));
        }
        Ok((moves, copies))
    }

    /// The descriptor under a number that no inherited one will take.
    pub(super) fn out_of_the_way(&self, fd: OwnedFd) -> Result<OwnedFd, Errno> {
        if fd.as_raw_fd() >= self.end() { Ok(fd) } else { self.copy(fd.as_fd()) }
    }

    fn copy(&self, fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        rustix::io::fcntl_dupfd_cloexec(fd, self.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_among_the_targets_is_copied_out_of_the_way() {
        let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
        let swapped = Descriptors::new(vec![stdout.as_fd(), stdin.as_fd()]);
        let (moves, copies) = swapped.moves().unwrap();
        assert_eq!(copies.len(), 2);
        assert!(moves.iter().all(|(source, target)| *source >= 2 && *target < 2), "{moves:?}");
    }

    #[test]
    fn what_has_its_number_already_stays() {
        let stdin = std::io::stdin();
        let (moves, copies) = Descriptors::new(vec![stdin.as_fd()]).moves().unwrap();
        assert_eq!((moves, copies.len()), (vec![(0, 0)], 0));
    }
}
