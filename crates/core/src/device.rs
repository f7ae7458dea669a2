//! Devices, memory layouts and memory formats.

use std::fmt;

use crate::{Error, Result, bail};

/// Where a tensor's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Device {
    /// Main memory.
    #[default]
    Cpu,
    /// Nowhere: tensors with shapes and dtypes but no bytes.
    Meta,
}

impl Device {
    /// The device of that name (`cpu`, `cpu:0`, `meta`).
    ///
    /// # Errors
    /// `Runtime` for a device that this build does not have.
    pub fn parse(name: &str) -> Result<Device> {
        match name.split(':').next() {
            Some("cpu") => Ok(Device::Cpu),
            Some("meta") => Ok(Device::Meta),
            _ => bail!("Expected one of cpu, meta device type at start of device string: {name}"),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Device::Cpu => "cpu",
            Device::Meta => "meta",
        })
    }
}

/// How a tensor stores its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum StorageLayout {
    /// With strides over one storage.
    #[default]
    Strided,
    /// As coordinates and values of the non-zero elements.
    SparseCoo,
}

/// The order in which a dense tensor stores its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum MemoryFormat {
    /// Row-major.
    #[default]
    Contiguous,
    /// As the input: its strides if it is dense, else row-major.
    Preserve,
    /// `[N, H, W, C]` in memory.
    ChannelsLast,
    /// `[N, D, H, W, C]` in memory.
    ChannelsLast3d,
}

impl MemoryFormat {
    /// The format of that PyTorch name, such as `channels_last` or `torch.preserve_format`.
    ///
    /// # Errors
    /// `Value` for an unknown name.
    pub fn parse(name: &str) -> Result<MemoryFormat> {
        match name.strip_prefix("torch.").unwrap_or(name).trim_end_matches("_format") {
            "contiguous" => Ok(MemoryFormat::Contiguous),
            "preserve" => Ok(MemoryFormat::Preserve),
            "channels_last" => Ok(MemoryFormat::ChannelsLast),
            "channels_last_3d" => Ok(MemoryFormat::ChannelsLast3d),
            _ => Err(Error::value(format!("unknown memory format {name}"))),
        }
    }
}
