//! Strict decoding of any encoding into UTF-8. An invalid byte sequence is an error; the Encoding Standard would replace it
//! with U+FFFD.

use std::{
    io::{self, BufRead, Read},
    str::FromStr,
};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};
use thiserror::Error;

/// Size of the buffers, in bytes.
const CHUNK: usize = 64 * 1024;
/// Bytes needed to detect a byte order mark, or the NUL characters of UTF-16 or UTF-32 without one.
const HEAD: usize = 4;

/// The declared encoding of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Charset(Option<&'static Encoding>);

impl Charset {
    /// UTF-16 if the text starts with its byte order mark, otherwise UTF-8.
    pub const DETECT: Self = Self(None);
}

impl FromStr for Charset {
    type Err = ();

    /// Parses a label of the Encoding Standard, such as `windows-1252`. `utf-16` detects the byte order by the mark.
    fn from_str(label: &str) -> Result<Self, ()> {
        if label.trim().eq_ignore_ascii_case("utf-16") {
            return Ok(Self::DETECT);
        }
        Encoding::for_label_no_replacement(label.as_bytes()).map(|encoding| Self(Some(encoding))).ok_or(())
    }
}

/// The text is not in the declared encoding.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EncodingError {
    /// A byte sequence that is invalid in the encoding.
    #[error("line {line} is not valid {encoding}")]
    Undecodable {
        /// Line, from 1.
        line: u64,
        /// Its name in the Encoding Standard.
        encoding: &'static str,
    },
    /// Every second byte of UTF-16 without a byte order mark is NUL.
    #[error("the text starts with a NUL character, so it is not in {encoding}; it may be in UTF-16")]
    Nul {
        /// Its name in the Encoding Standard.
        encoding: &'static str,
    },
    /// The byte order mark belongs to another encoding.
    #[error("the text has the byte order mark of {mark}, so it is not in {named}")]
    OtherMark {
        /// Encoding of the mark.
        mark: &'static str,
        /// Declared encoding.
        named: &'static str,
    },
}

/// Reads `source` as UTF-8 without a byte order mark. Errors of kind [`io::ErrorKind::InvalidData`] wrap an [`EncodingError`].
pub struct Decoded<R> {
    source: R,
    charset: Charset,
    /// `None` until the first bytes of the source are read.
    decoder: Option<Decoder>,
    input: Box<[u8]>,
    undecoded: std::ops::Range<usize>,
    source_ended: bool,
    text: Box<[u8]>,
    unread: std::ops::Range<usize>,
    line: u64,
    after_return: bool,
    end: End,
}

/// State after the decoded text.
enum End {
    More,
    Reached,
    Failed(EncodingError),
}

impl<R: Read> Decoded<R> {
    /// Decodes `source` from `charset`.
    pub fn new(source: R, charset: Charset) -> Self {
        Self {
            source,
            charset,
            decoder: None,
            input: vec![0; CHUNK].into(),
            undecoded: 0..0,
            source_ended: false,
            text: vec![0; CHUNK].into(),
            unread: 0..0,
            line: 1,
            after_return: false,
            end: End::More,
        }
    }

    /// Reads more bytes.
    fn read_source(&mut self) -> io::Result<()> {
        match self.source.read(&mut self.input[self.undecoded.end..]) {
            Ok(0) => self.source_ended = true,
            Ok(read) => self.undecoded.end += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Chooses the decoder by the byte order mark and the charset, and skips the mark.
    fn start(&mut self) -> Result<Decoder, EncodingError> {
        let mark = Encoding::for_bom(&self.input[self.undecoded.clone()]);
        let encoding = match (mark, self.charset.0) {
            (Some((mark, _)), Some(named)) if mark != named => {
                return Err(EncodingError::OtherMark { mark: mark.name(), named: named.name() });
            }
            (Some((mark, _)), _) => mark,
            (None, named) => named.unwrap_or(UTF_8),
        };
        self.undecoded.start += mark.map_or(0, |(_, length)| length);
        Ok(encoding.new_decoder_without_bom_handling())
    }

    /// Decodes until text is available or the source ends.
    fn decode(&mut self) -> io::Result<()> {
        while self.unread.is_empty() && matches!(self.end, End::More) {
            let mut decoder = match self.decoder.take() {
                Some(decoder) => decoder,
                None if self.undecoded.len() < HEAD && !self.source_ended => {
                    self.read_source()?;
                    continue;
                }
                None => match self.start() {
                    Ok(decoder) => decoder,
                    Err(error) => {
                        self.end = End::Failed(error);
                        break;
                    }
                },
            };
            let first = self.line == 1 && self.unread.end == 0;
            let bytes = &self.input[self.undecoded.clone()];
            let (result, read, written) = decoder.decode_to_utf8_without_replacement(bytes, &mut self.text, self.source_ended);
            self.undecoded.start += read;
            self.unread = 0..written;
            self.count_lines(written);
            let encoding = decoder.encoding().name();
            if first && self.text[..written.min(HEAD)].contains(&0) {
                self.unread = 0..0;
                self.end = End::Failed(EncodingError::Nul { encoding });
                break;
            }
            match result {
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => self.end = End::Failed(EncodingError::Undecodable { line: self.line, encoding }),
                DecoderResult::InputEmpty if self.source_ended => self.end = End::Reached,
                DecoderResult::InputEmpty => {
                    self.undecoded = 0..0;
                    if written == 0 {
                        self.decoder = Some(decoder);
                        self.read_source()?;
                        continue;
                    }
                }
            }
            self.decoder = Some(decoder);
        }
        Ok(())
    }

    fn count_lines(&mut self, written: usize) {
        for byte in &self.text[..written] {
            self.line += u64::from(*byte == b'\r' || (*byte == b'\n' && !self.after_return));
            self.after_return = *byte == b'\r';
        }
    }
}

impl<R: Read> BufRead for Decoded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.decode()?;
        match &self.end {
            End::Failed(error) if self.unread.is_empty() => Err(io::Error::new(io::ErrorKind::InvalidData, error.clone())),
            _ => Ok(&self.text[self.unread.clone()]),
        }
    }

    fn consume(&mut self, amount: usize) {
        self.unread.start = self.unread.end.min(self.unread.start + amount);
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that returns at most `.1` bytes per read.
    struct Dripping<'a>(&'a [u8], usize);

    impl Read for Dripping<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(self.1);
            self.0.read(&mut buffer[..most])
        }
    }

    fn decoded(bytes: &[u8], charset: &str) -> Result<String, EncodingError> {
        let charset: Charset = if charset.is_empty() { Charset::DETECT } else { charset.parse().unwrap() };
        let read = |most| {
            let mut text = String::new();
            let read = Decoded::new(Dripping(bytes, most), charset).read_to_string(&mut text);
            read.map(|_| text).map_err(|error| error.into_inner().unwrap().downcast_ref::<EncodingError>().unwrap().clone())
        };
        let whole = read(usize::MAX);
        assert_eq!(read(1), whole, "independent of the read size");
        whole
    }

    fn utf_16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn a_byte_order_mark_selects_the_encoding_and_is_removed() {
        for charset in ["", "utf-16"] {
            assert_eq!(decoded(&utf_16("\u{feff}Größe 🪑\r\n", u16::to_le_bytes), charset).unwrap(), "Größe 🪑\r\n");
            assert_eq!(decoded(&utf_16("\u{feff}Größe 🪑\r\n", u16::to_be_bytes), charset).unwrap(), "Größe 🪑\r\n");
        }
        assert_eq!(decoded("\u{feff}\u{feff}a".as_bytes(), "").unwrap(), "\u{feff}a");
        for (text, bytes) in [("", "\u{feff}"), ("", ""), ("a", "a"), ("ä", "ä")] {
            assert_eq!(decoded(bytes.as_bytes(), "").unwrap(), text);
        }
    }

    #[test]
    fn a_declared_encoding_is_decoded() {
        assert_eq!(decoded(b"Gr\xf6\xdfe L", "windows-1252").unwrap(), "Größe L");
        assert_eq!(decoded(b"\xa3\xb1", "iso-8859-2").unwrap(), "Łą");
        assert_eq!(decoded(&utf_16("Größe", u16::to_le_bytes), "UTF-16LE").unwrap(), "Größe");
        for unknown in ["", "latin", "utf-7", "replacement"] {
            assert!(unknown.parse::<Charset>().is_err(), "{unknown}");
        }
    }

    #[test]
    fn an_invalid_byte_sequence_is_an_error_with_its_line() {
        let undecodable = |line, encoding| Err(EncodingError::Undecodable { line, encoding });
        assert_eq!(decoded(b"a\nb\r\nc\rGr\xf6\xdfe", ""), undecodable(4, "UTF-8"));
        assert_eq!(decoded(b"a\n\xc3", ""), undecodable(2, "UTF-8"));
        assert_eq!(decoded(b"\xff\xfea\0\n\0b", ""), undecodable(2, "UTF-16LE"));
        assert_eq!(decoded(b"a\n\xff", "shift_jis"), undecodable(2, "Shift_JIS"));
        let many = [b"row\n".repeat(100_000), vec![0xff]].concat();
        let mut read = Decoded::new(&many[..], Charset::DETECT);
        let error = io::copy(&mut read, &mut io::sink()).unwrap_err();
        assert_eq!(error.to_string(), "line 100001 is not valid UTF-8");
    }

    #[test]
    fn a_text_in_another_than_the_declared_encoding_is_detected_at_its_start() {
        for bytes in [utf_16("sku", u16::to_le_bytes), utf_16("sku", u16::to_be_bytes), b"\xff\xfe\0\0s\0\0\0".to_vec()] {
            assert!(matches!(decoded(&bytes, ""), Err(EncodingError::Nul { .. })), "{bytes:?}");
        }
        assert!(matches!(decoded(&utf_16("sku", u16::to_le_bytes), "utf-16"), Err(EncodingError::Nul { .. })), "no mark, no order");
        assert!(matches!(decoded("\u{feff}sku".as_bytes(), "windows-1252"), Err(EncodingError::OtherMark { .. })));
        assert!(matches!(decoded(b"\xff\xfes\0", "utf-16be"), Err(EncodingError::OtherMark { .. })));
    }
}
