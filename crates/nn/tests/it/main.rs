//! Modules as a user writes them.

mod functional;
mod hooks;
mod loading;
mod modules;
mod services;
mod utils;
