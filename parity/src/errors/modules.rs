//! Layers whose construction or call must fail.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Expected;
use crate::failure::Failure;
use crate::kit::{Pack, Reason};
use crate::modules::{Description, Inputs, build, is_known};
use crate::report::{Outcome, guarded};
use crate::value::V;

/// A layer and its call.
#[derive(Debug, Deserialize)]
pub struct Case {
    pub id: u64,
    on: Stage,
    init: Description,
    #[serde(default)]
    forward: Option<Forward>,
    #[serde(flatten)]
    expected: Expected,
}

/// Where it fails.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Stage {
    Construction,
    Forward,
}

#[derive(Debug, Deserialize)]
struct Forward {
    args: Vec<V>,
    kwargs: BTreeMap<String, V>,
}

impl Case {
    /// The class.
    pub fn subject(&self) -> String {
        self.init.name().into()
    }

    /// What comes of it.
    pub fn replay(&self, pack: &Pack) -> Outcome {
        if !is_known(&self.init) {
            return Outcome::Skipped;
        }
        guarded(|| self.attempt(pack))
    }

    fn attempt(&self, pack: &Pack) -> Result<(), Reason> {
        let subject = match build(&self.init, pack) {
            Ok(subject) => subject,
            Err(Failure::Case(reason)) => return Err(reason),
            // What PyTorch looks at when the layer is called may be without a type here.
            Err(Failure::Argument(e)) => return self.expected.check(&e),
            Err(Failure::Call(e)) if self.on == Stage::Construction => return self.expected.check(&e),
            Err(Failure::Call(e)) => return Err(format!("failed when constructed: {e:?}")),
        };
        let Some(forward) = self.forward.as_ref().filter(|_| self.on == Stage::Forward) else {
            return Err(self.expected.unmet());
        };
        let inputs = Inputs::read(&forward.args, &forward.kwargs, pack)?;
        match (subject.forward)(&inputs) {
            Ok(_) => Err(self.expected.unmet()),
            Err(e) => self.expected.check(&e),
        }
    }
}
