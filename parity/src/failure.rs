//! Why something could not be built or called.

use cresset_core::Error;

use crate::kit::Reason;

/// What stood in the way of a call.
#[derive(Debug)]
pub enum Failure {
    /// The case is not as the format says, or asks for something that is not there.
    Case(Reason),
    /// A value that Python passes and that the types of the function have no place for.
    Argument(Error),
    /// The call was made and failed.
    Call(Error),
}

impl From<Error> for Failure {
    fn from(e: Error) -> Failure {
        Failure::Call(e)
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Failure {
        Failure::Case(reason)
    }
}

impl From<&str> for Failure {
    fn from(reason: &str) -> Failure {
        Failure::Case(reason.into())
    }
}

impl From<Failure> for Reason {
    fn from(failure: Failure) -> Reason {
        match failure {
            Failure::Case(reason) => reason,
            Failure::Argument(e) | Failure::Call(e) => format!("{e:?}"),
        }
    }
}
