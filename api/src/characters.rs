//! Characters that nobody sees and that mislead who reads: two skus that look alike, or a name that
//! turns round what is shown after it, or a program that reads it.

use std::borrow::Cow;

/// Whether a character shows nothing by itself: `Default_Ignorable_Code_Point` of Unicode 17
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

/// Whether a character changes the order in which what follows is shown: the embeddings, overrides and
/// isolates of Unicode's bidirectional algorithm (UAX 9, section 2). Left open, they reach beyond their own text.
#[must_use]
pub fn reorders(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether nothing is seen of a character but the room it takes.
#[must_use]
pub fn is_blank(c: char) -> bool {
    c.is_whitespace() || is_invisible(c)
}

/// Whether a character ends a line, or reaches beyond it.
#[must_use]
pub fn breaks_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || reorders(c)
}

/// Whether a text is one line that shows something and stays within itself. The joiners of emoji and of
/// Persian and Indic scripts, and the marks of Hebrew and Arabic, are part of how names are written.
#[must_use]
pub fn is_plain_line(text: &str) -> bool {
    !text.chars().any(breaks_line) && !text.chars().all(is_blank)
}

/// Text that a spreadsheet would take for a formula gets an apostrophe in front, which tells it not to:
/// <https://owasp.org/www-community/attacks/CSV_Injection>.
#[must_use]
pub fn no_formula(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{text}").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_the_joiners_and_marks_of_their_scripts_and_nothing_that_misleads() {
        for good in ["Bar table", "👩\u{200d}🍳", "می\u{200c}خواهم", "\u{200f}שולחן", "❤\u{fe0f}", "x"] {
            assert!(is_plain_line(good), "{good:?}");
        }
        for bad in ["", " ", "a\nb", "a\u{7f}", "a\u{85}b", "a\u{2028}b", "\u{200b}\u{200d} ", "table\u{202e}gpj.exe", "\u{2066}a"] {
            assert!(!is_plain_line(bad), "{bad:?}");
        }
    }
}
