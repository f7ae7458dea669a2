//! The zip archives of PyTorch: entries are stored as they are and aligned, so that they can be mapped.

mod read;
mod write;

pub(crate) use read::Archive;
pub(crate) use write::Writer;

const LOCAL_HEADER: u32 = 0x0403_4b50;
const CENTRAL_HEADER: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END64: u32 = 0x0606_4b50;
const END64_LOCATOR: u32 = 0x0706_4b50;
/// Tag of the extra field that holds 64-bit sizes and offsets.
const ZIP64: u16 = 1;
