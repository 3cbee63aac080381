//! Characters that are invisible or misleading: they make two skus look alike, or make a name reorder the text after it or act
//! as a formula in a spreadsheet.

use std::borrow::Cow;

/// Whether a character is invisible by itself: `Default_Ignorable_Code_Point` of Unicode 17
/// (`DerivedCoreProperties.txt`), zero-width and bidirectional controls among them.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Whether a character changes the display order of the following text: the embeddings, overrides and isolates of the Unicode
/// bidirectional algorithm (UAX 9, section 2). Without a closing character, they affect text beyond their own.
fn reorders(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character is white space or invisible.
#[must_use]
pub fn is_blank(c: char) -> bool {
    c.is_whitespace() || is_invisible(c)
}

/// Whether a character ends a line or reorders text.
#[must_use]
pub fn breaks_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || reorders(c)
}

/// Whether a text is one line with at least one visible character and without reordering characters. Joiners of emoji and of
/// Persian and Indic scripts and the marks of Hebrew and Arabic are allowed, because names contain them.
#[must_use]
pub fn is_plain_line(text: &str) -> bool {
    !text.chars().any(breaks_line) && !text.chars().all(is_blank)
}

/// Puts an apostrophe before a text that a spreadsheet would interpret as a formula:
/// <https://owasp.org/www-community/attacks/CSV_Injection>.
#[must_use]
pub fn escape_formula(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{text}").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joiners_and_marks_of_scripts_are_allowed_and_misleading_characters_are_not() {
        for good in ["Bar table", "👩\u{200d}🍳", "می\u{200c}خواهم", "\u{200f}שולחן", "❤\u{fe0f}", "x"] {
            assert!(is_plain_line(good), "{good:?}");
        }
        for bad in ["", " ", "a\nb", "a\u{7f}", "a\u{85}b", "a\u{2028}b", "\u{200b}\u{200d} ", "table\u{202e}gpj.exe", "\u{2066}a"] {
            assert!(!is_plain_line(bad), "{bad:?}");
        }
    }
}
