//! Files in memory. The one module of this crate with `unsafe` code.
//!
//! A file is read through [`FileBytes`], a read-only map that lives while it is parsed. Large storages become
//! [`Region`]s of a second, private map: pages are read when they are first touched, and writing to them changes
//! neither the file nor the first map.
//!
//! Both rely on nobody changing the file in place while it is mapped, as all memory maps do. Files that Cresset writes
//! are replaced by renaming, which leaves maps of the old file whole; who cannot rely on that of others reads without
//! maps ([`LoadOptions::mmap`](crate::LoadOptions::mmap)).

use std::fs::File;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

use memmap2::{Mmap, MmapMut, MmapOptions};

use cresset_core::{Error, Result};

/// The content of a file.
pub(crate) enum FileBytes {
    Mapped(Mmap),
    Read(Vec<u8>),
}

impl FileBytes {
    /// Maps the file, or reads it if `mmap` is false.
    pub(crate) fn open(path: &Path, mmap: bool) -> Result<FileBytes> {
        let named = |e: std::io::Error| Error::from(e).context(path.display());
        if !mmap {
            return Ok(FileBytes::Read(std::fs::read(path).map_err(named)?));
        }
        let file = File::open(path).map_err(named)?;
        if !file.metadata().map_err(named)?.is_file() {
            // Pipes and the like have no length to map; a directory gives its error here.
            return Ok(FileBytes::Read(std::fs::read(path).map_err(named)?));
        }
        // SAFETY: the map is only read; the module doc says what is asked of others who have the file open.
        Ok(FileBytes::Mapped(unsafe { Mmap::map(&file) }.map_err(named)?))
    }
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            FileBytes::Mapped(map) => map,
            FileBytes::Read(bytes) => bytes,
        }
    }
}

/// A private map of a file that hands out disjoint parts of itself.
pub(crate) struct Regions {
    map: Arc<PrivateMap>,
    taken: Vec<Range<usize>>,
}

struct PrivateMap {
    start: *mut u8,
    len: usize,
    _map: MmapMut,
}

// SAFETY: the memory belongs to the map and is reached only through regions, each of which has its part for itself.
unsafe impl Send for PrivateMap {}
// SAFETY: as above.
unsafe impl Sync for PrivateMap {}

impl Regions {
    /// Maps the file privately.
    pub(crate) fn open(path: &Path) -> Result<Regions> {
        let file = File::open(path)?;
        // SAFETY: writes go to private pages; the module doc says what is asked of others who have the file open.
        let mut map = unsafe { MmapOptions::new().map_copy(&file) }?;
        let (start, len) = (map.as_mut_ptr(), map.len());
        Ok(Regions { map: Arc::new(PrivateMap { start, len, _map: map }), taken: Vec::new() })
    }

    /// That part of the file, unless it lies outside or overlaps a part that was taken before.
    pub(crate) fn take(&mut self, part: Range<usize>) -> Option<Region> {
        let inside = part.start < part.end && part.end <= self.map.len;
        let at = self.taken.partition_point(|taken| taken.end <= part.start);
        let free = self.taken.get(at).is_none_or(|next| part.end <= next.start);
        if !inside || !free {
            return None;
        }
        self.taken.insert(at, part.clone());
        Some(Region { map: self.map.clone(), part })
    }
}

/// Bytes of a private map that no other region has.
pub(crate) struct Region {
    map: Arc<PrivateMap>,
    part: Range<usize>,
}

impl AsMut<[u8]> for Region {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: `Regions::take` checked that the part lies inside the map and overlaps no other region, and the map
        // lives as long as this region.
        unsafe { std::slice::from_raw_parts_mut(self.map.start.add(self.part.start), self.part.len()) }
    }
}
