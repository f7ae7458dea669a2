//! Tests of the engine through its public interface.

mod families;
mod autograd;
mod custom;
mod inplace;
mod random;
mod sugar;
