//! The MNIST database of handwritten digits.

use std::path::{Path, PathBuf};

use cresset_core::{DType, Result, Tensor, bail};

use crate::Dataset;
use crate::dataset::check_index;
use crate::idx::Idx;

/// Height and width of an image.
const SIDE: usize = 28;

/// MNIST, or a database of the same form: images `[1, 28, 28]` as `f32` and labels from 0 to 9.
///
/// Pixels are kept as bytes and converted when a batch is fetched: `pixel / 255`, then `(x - mean) / std` if
/// [`normalize`](Mnist::normalize) was called, rounded as torchvision's transforms round.
#[derive(Debug)]
pub struct Mnist {
    images: Idx,
    labels: Vec<i64>,
    /// What each byte becomes.
    pixels: [f32; 256],
}

impl Mnist {
    /// Reads the training images or the test images from a folder with the original files, packed or not.
    ///
    /// # Errors
    /// `Io` when a file is missing or cannot be read; `Runtime`, naming it, when it is damaged or not of that form.
    pub fn open(folder: impl AsRef<Path>, train: bool) -> Result<Mnist> {
        let folder = folder.as_ref();
        let part = if train { "train" } else { "t10k" };
        let path = |kind: &str| find(folder, &format!("{part}-{kind}-ubyte"));
        Mnist::from_files(&path("images-idx3")?, &path("labels-idx1")?)
    }

    /// Reads the training and the test images at the same time.
    ///
    /// # Errors
    /// As [`Mnist::open`].
    pub fn open_both(folder: impl AsRef<Path>) -> Result<(Mnist, Mnist)> {
        let folder = folder.as_ref();
        std::thread::scope(|scope| {
            let test = scope.spawn(|| Mnist::open(folder, false));
            let train = Mnist::open(folder, true)?;
            match test.join() {
                Ok(test) => Ok((train, test?)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    fn from_files(images: &Path, labels: &Path) -> Result<Mnist> {
        let (image_data, label_data) = (Idx::read(images)?, Idx::read(labels)?);
        if image_data.dtype != DType::U8
            || image_data.sizes.len() != 3
            || image_data.sizes[1..] != [SIDE, SIDE]
        {
            bail!("{}: expected images of 28 x 28 bytes, got sizes {:?}", images.display(), image_data.sizes);
        }
        if label_data.dtype != DType::U8 || label_data.sizes != image_data.sizes[..1] {
            bail!(
                "{}: expected {} labels, got sizes {:?}",
                labels.display(),
                image_data.sizes[0],
                label_data.sizes
            );
        }
        let labels = label_data.data().iter().map(|label| i64::from(*label)).collect();
        Ok(Mnist { images: image_data, labels, pixels: std::array::from_fn(|i| i as f32 / 255.0) })
    }

    /// Shifts and scales the pixels by mean and standard deviation.
    pub fn normalize(mut self, mean: f32, std: f32) -> Mnist {
        self.pixels = std::array::from_fn(|i| (i as f32 / 255.0 - mean) / std);
        self
    }

    /// The pixels of all images, row by row.
    pub fn images(&self) -> &[u8] {
        self.images.data()
    }

    /// The labels of all images.
    pub fn labels(&self) -> &[i64] {
        &self.labels
    }

    /// Writes the pixels of an image to `out`.
    fn convert(&self, index: usize, out: &mut Vec<f32>) -> Result<()> {
        check_index(index, self.labels.len())?;
        let image = &self.images()[index * SIDE * SIDE..(index + 1) * SIDE * SIDE];
        out.extend(image.iter().map(|pixel| self.pixels[usize::from(*pixel)]));
        Ok(())
    }
}

impl Dataset for Mnist {
    /// Image and label.
    type Sample = (Tensor, i64);

    fn len(&self) -> usize {
        self.labels.len()
    }

    fn get(&self, index: usize) -> Result<(Tensor, i64)> {
        let mut pixels = Vec::with_capacity(SIDE * SIDE);
        self.convert(index, &mut pixels)?;
        Ok((Tensor::from_vec(pixels, [1, SIDE as i64, SIDE as i64])?, self.labels[index]))
    }

    fn get_batch(&self, indices: &[usize]) -> Result<(Tensor, Tensor)> {
        let mut pixels = Vec::with_capacity(indices.len() * SIDE * SIDE);
        indices.iter().try_for_each(|i| self.convert(*i, &mut pixels))?;
        let labels: Vec<i64> = indices.iter().map(|i| self.labels[*i]).collect();
        let n = indices.len() as i64;
        Ok((Tensor::from_vec(pixels, [n, 1, SIDE as i64, SIDE as i64])?, Tensor::from_vec(labels, [n])?))
    }
}

/// The file of that name, packed or not, in the folder or where torchvision puts it.
fn find(folder: &Path, name: &str) -> Result<PathBuf> {
    let places = [folder.to_owned(), folder.join("MNIST/raw")];
    let files = places.iter().flat_map(|place| [place.join(format!("{name}.gz")), place.join(name)]);
    match files.into_iter().find(|file| file.is_file()) {
        Some(file) => Ok(file),
        None => bail!(Io, "{}: Dataset not found: there is no {name}.gz", folder.display()),
    }
}
