//! A picture of a digit as the network knows them: 28x28, light strokes on a dark background.

use std::path::Path;

use image::imageops::{self, FilterType};
use image::{DynamicImage, GrayImage, ImageReader, Limits, Luma};

use cresset::{Error, Result};

/// Side of the network's images.
pub const SIDE: u32 = 28;

/// A larger side is refused, so that a small file cannot ask for all the memory.
const LARGEST_SIDE: u32 = 16_384;

/// Reads a PNG or JPEG file of any size as `SIDE * SIDE` grey values.
///
/// Transparent parts are taken for white paper. A picture with a light background is inverted; one that is not square
/// is filled up with its background.
///
/// # Errors
/// `Io`, naming the file, when it cannot be read or is no PNG or JPEG.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let named = |e: &dyn std::fmt::Display| Error::io(format!("{}: {e}", path.display()));
    let mut reader =
        ImageReader::open(path).map_err(|e| named(&e))?.with_guessed_format().map_err(|e| named(&e))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    limits.max_alloc = Some(512 << 20);
    reader.limits(limits);
    let image = reader.decode().map_err(|e| named(&format!("cannot read the picture: {e}")))?;
    Ok(prepare(&image))
}

fn prepare(image: &DynamicImage) -> Vec<u8> {
    let mut grey = on_white(image);
    let mut background = mean_of_border(&grey);
    if background > 127 {
        imageops::invert(&mut grey);
        background = 255 - background;
    }
    let (width, height) = grey.dimensions();
    let side = width.max(height);
    if width != height {
        let mut square = GrayImage::from_pixel(side, side, Luma([background]));
        imageops::replace(&mut square, &grey, ((side - width) / 2).into(), ((side - height) / 2).into());
        grey = square;
    }
    if side != SIDE {
        // The triangle filter averages over all pixels when it makes a picture smaller, so that thin strokes stay.
        grey = imageops::resize(&grey, SIDE, SIDE, FilterType::Triangle);
    }
    grey.into_raw()
}

/// Grey values, with white behind what is transparent.
fn on_white(image: &DynamicImage) -> GrayImage {
    if !image.color().has_alpha() {
        return image.to_luma8();
    }
    let with_alpha = image.to_luma_alpha8();
    GrayImage::from_fn(with_alpha.width(), with_alpha.height(), |x, y| {
        let [grey, alpha] = with_alpha.get_pixel(x, y).0.map(u32::from);
        Luma([((grey * alpha + 255 * (255 - alpha) + 127) / 255) as u8])
    })
}

/// The mean grey of the outermost pixels, which mostly show the background.
fn mean_of_border(image: &GrayImage) -> u8 {
    let (width, height) = image.dimensions();
    let at_border = |x: u32, y: u32| x == 0 || y == 0 || x + 1 == width || y + 1 == height;
    let border =
        image.enumerate_pixels().filter(|(x, y, _)| at_border(*x, *y)).map(|(_, _, p)| u64::from(p.0[0]));
    let (sum, n) = border.fold((0, 0), |(sum, n), grey| (sum + grey, n + 1));
    (sum / n.max(1)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_of_the_right_size_is_kept() {
        let image = GrayImage::from_fn(28, 28, |x, y| {
            Luma([if (5..20).contains(&x) && y > 3 && y < 24 { 200 } else { 0 }])
        });
        assert_eq!(prepare(&DynamicImage::from(image.clone())), image.into_raw());
    }

    #[test]
    fn dark_strokes_on_white_are_inverted_and_filled_up() {
        let image = GrayImage::from_fn(56, 112, |x, y| {
            Luma([if (20..36).contains(&x) && (20..90).contains(&y) { 0 } else { 255 }])
        });
        let grey = prepare(&DynamicImage::from(image));
        assert_eq!(grey.len(), 784);
        assert_eq!((grey[0], grey[14 * 28 + 14]), (0, 255));
    }

    #[test]
    fn transparent_is_white_paper() {
        let image =
            image::RgbaImage::from_fn(28, 28, |x, _| image::Rgba([0, 0, 0, if x == 14 { 255 } else { 0 }]));
        let grey = prepare(&DynamicImage::from(image));
        assert_eq!((grey[0], grey[28 * 14 + 14]), (0, 255));
    }
}
