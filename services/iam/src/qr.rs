//! A QR code as a PNG: how an authenticator app takes a seed without anybody typing it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use qrcode::{Color, QrCode};

/// Pixels of a module's side.
const SCALE: usize = 4;
/// Modules of white around the code. Ref: ISO/IEC 18004, "Quiet zone".
const QUIET: usize = 4;
/// Ref: RFC 3986, "unreserved".
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What an app reads of a device. Ref: IAM API Reference, VirtualMFADevice: `otpauth://totp/NAME@ACCOUNT?secret=SEED`.
pub(crate) fn key_uri(device: &str, account: &str, base32_seed: &str) -> String {
    let device = utf8_percent_encode(device, RESERVED);
    format!("otpauth://totp/{device}@{account}?secret={base32_seed}")
}

/// The picture, black on white in shades of grey. Nothing for a text that no QR code can hold (some 2,300 bytes).
pub(crate) fn png(text: &str) -> Option<Vec<u8>> {
    let code = QrCode::new(text).ok()?;
    let modules = code.width();
    let colors = code.into_colors();
    let side = (modules + 2 * QUIET) * SCALE;
    let module = |pixel: usize| (pixel / SCALE).checked_sub(QUIET).filter(|at| *at < modules);
    let is_dark = |row: usize, column: usize| {
        let at = Some(module(row)? * modules + module(column)?);
        at.and_then(|at| colors.get(at)).map(|color| *color == Color::Dark)
    };
    let pixels: Vec<u8> = (0..side * side)
        .map(|at| match is_dark(at / side, at % side) {
            Some(true) => 0x00,
            Some(false) | None => 0xff,
        })
        .collect();
    let side = u32::try_from(side).ok()?;
    let mut picture = Vec::new();
    let mut encoder = png::Encoder::new(&mut picture, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&pixels).ok()?;
    writer.finish().ok()?;
    Some(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_what_was_drawn() {
        let seed = "MZXW6YTBOJTG633C".repeat(4);
        let uri = key_uri("ada+1@example.com", "123456789012", &seed);
        assert_eq!(
            uri,
            format!("otpauth://totp/ada%2B1%40example.com@123456789012?secret={seed}")
        );
        let picture = png(&uri).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(picture)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        let (width, height) = (frame.width as usize, frame.height as usize);
        let mut seen = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * width + x]);
        let codes = seen.detect_grids();
        assert_eq!(codes.len(), 1);
        assert_eq!(codes[0].decode().unwrap().1, uri);
    }

    #[test]
    fn the_longest_name_has_a_picture() {
        assert!(png(&key_uri(&"@".repeat(226), "123456789012", &"A".repeat(64))).is_some());
    }
}
