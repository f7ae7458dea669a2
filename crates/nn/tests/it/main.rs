//! Modules as a user writes them.

mod loading;
mod modules;
mod services;
mod utils;
