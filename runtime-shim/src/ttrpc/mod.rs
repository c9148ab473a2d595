//! ttrpc: requests and answers on a stream, each behind a head of ten bytes.
//!
//! The messages are those of the crate `ttrpc`. Its server has some nine threads when nothing happens, and one more for
//! each answer that somebody waits for; this one has none: what comes is taken when `poll` says so, and an answer may be
//! given at any later time.

mod connection;
mod frame;

use crate::protos::protobuf::{Message, MessageField};
use crate::protos::ttrpc::{Request, Response, Status};
use crate::refusal::Refusal;

pub(crate) use connection::Connection;
pub(crate) use frame::{Frame, Kind};

/// What is asked, and by which stream the answer goes.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) stream: u32,
    pub(crate) service: String,
    pub(crate) method: String,
    pub(crate) message: Vec<u8>,
}

impl Question {
    /// Reads one from a frame.
    ///
    /// # Errors
    /// It can't be understood.
    pub(crate) fn read(frame: &Frame) -> Result<Self, Refusal> {
        let Request { service, method, payload: message, .. } = Request::parse_from_bytes(&frame.body)?;
        Ok(Question { stream: frame.stream, service, method, message })
    }

    /// As a frame.
    ///
    /// # Errors
    /// It can't be written as a message.
    pub(crate) fn frame(self) -> Result<Frame, Refusal> {
        let request = Request {
            service: self.service,
            method: self.method,
            payload: self.message,
            ..Request::default()
        };
        Ok(Frame { stream: self.stream, kind: Kind::Request, body: request.write_to_bytes()? })
    }
}

/// The answer to a question, as a frame.
///
/// # Errors
/// It can't be written as a message.
pub(crate) fn answer(stream: u32, answer: Result<Vec<u8>, Refusal>) -> Result<Frame, Refusal> {
    let mut response = Response::new();
    match answer {
        Ok(message) => response.payload = message,
        Err(refusal) => response.status = status(refusal),
    }
    Ok(Frame { stream, kind: Kind::Response, body: response.write_to_bytes()? })
}

fn status(refusal: Refusal) -> MessageField<Status> {
    MessageField::some(Status { code: refusal.code.into(), message: refusal.text, ..Status::default() })
}

/// Why a question was not answered as it should have been; `None` if it was.
///
/// # Errors
/// The answer can't be understood.
pub(crate) fn refused(frame: &Frame) -> Result<Option<String>, Refusal> {
    let response = Response::parse_from_bytes(&frame.body)?;
    let status = response.status.into_option().filter(|status| status.code.value() != 0);
    Ok(status.map(|status| status.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_arrives_as_it_was_put() {
        let question = Question { stream: 3, service: "s".into(), method: "m".into(), message: vec![1, 2] };
        let read = Question::read(&question.frame().unwrap()).unwrap();
        assert_eq!((read.stream, read.service.as_str(), read.method.as_str()), (3, "s", "m"));
        assert_eq!(read.message, [1, 2]);
    }

    #[test]
    fn an_answer_says_yes_or_why_not() {
        assert_eq!(refused(&answer(1, Ok(vec![5])).unwrap()), Ok(None));
        let no = answer(1, Err(Refusal::not_found("nothing"))).unwrap();
        assert_eq!((no.kind, refused(&no)), (Kind::Response, Ok(Some("nothing".into()))));
    }
}
