//! A message behind its head: length, stream, kind and flags.

/// Bytes of the head.
const HEAD: usize = 10;

/// ttrpc's own limit.
const LONGEST: usize = 4 << 20;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Response,
    /// Something that newer versions know.
    Other(u8),
}

impl Kind {
    fn number(self) -> u8 {
        match self {
            Kind::Request => 1,
            Kind::Response => 2,
            Kind::Other(number) => number,
        }
    }

    fn of(number: u8) -> Self {
        match number {
            1 => Kind::Request,
            2 => Kind::Response,
            other => Kind::Other(other),
        }
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) stream: u32,
    pub(crate) kind: Kind,
    pub(crate) body: Vec<u8>,
}

/// A message is longer than messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Frame {
    /// Appends it to what is to be sent. What is too long is sent as well: whoever reads it decides.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.reserve_exact(HEAD + self.body.len());
        bytes.extend(u32::try_from(self.body.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend([self.kind.number(), 0]);
        bytes.extend(&self.body);
    }

    /// Takes the first one from what has come; `None` if it isn't whole.
    ///
    /// # Errors
    /// [`TooLong`]: what comes after it can't be found.
    pub(crate) fn take(bytes: &mut Vec<u8>) -> Result<Option<Self>, TooLong> {
        let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
        let [a, b, c, d, e, f, g, h, kind, _] = *head;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > LONGEST {
            return Err(TooLong);
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let (stream, kind) = (u32::from_be_bytes([e, f, g, h]), Kind::of(kind));
        let frame = Frame { stream, kind, body: body.to_vec() };
        bytes.drain(..HEAD + length);
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_apart_however_they_come() {
        let first = Frame { stream: 1, kind: Kind::Request, body: b"abc".to_vec() };
        let second = Frame { stream: 0x0102_0304, kind: Kind::Response, body: vec![] };
        let mut sent = Vec::new();
        first.write(&mut sent);
        second.write(&mut sent);
        assert_eq!(sent, b"\0\0\0\x03\0\0\0\x01\x01\0abc\0\0\0\0\x01\x02\x03\x04\x02\0");
        let (mut come, mut seen) = (Vec::new(), Vec::new());
        for byte in sent {
            come.push(byte);
            seen.extend(Frame::take(&mut come).unwrap());
        }
        assert_eq!((seen, come), (vec![first, second], vec![]));
    }

    #[test]
    fn what_is_too_long_is_not_waited_for() {
        let mut come = b"\xff\0\0\0\0\0\0\x01\x01\0".to_vec();
        assert_eq!(Frame::take(&mut come), Err(TooLong));
    }
}
