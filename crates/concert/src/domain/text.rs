//! Text that people type: bounded, visible, on one line, and composed one way (Unicode's NFC), so that what looks the
//! same is the same.

use std::borrow::Cow;

use service_kit::problem::FieldError;
use unicode_normalization::UnicodeNormalization as _;

/// A rule broken by the field at `path`, named as the public API names it.
#[must_use]
pub fn fault(path: impl Into<String>, rule: impl Into<String>) -> FieldError {
    FieldError {
        field: path.into(),
        rule: rule.into(),
    }
}

/// The first `max_chars` characters, with a sign that there were more: a refusal must not be as long as what it refuses.
#[must_use]
pub fn shortened(text: &str, max_chars: usize) -> Cow<'_, str> {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// A required line of at most `max_chars` characters, without the blanks around it.
///
/// # Errors
/// It is blank, too long, or holds control characters.
pub fn line(field: &str, text: &str, max_chars: usize) -> Result<String, FieldError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(fault(field, "is required"));
    }
    optional_line(field, text, max_chars)
}

/// As [`line`], but it may be empty.
///
/// # Errors
/// It is too long, or holds control characters.
pub fn optional_line(field: &str, text: &str, max_chars: usize) -> Result<String, FieldError> {
    let text: String = text.trim().nfc().collect();
    if text.chars().count() > max_chars {
        return Err(fault(field, format!("must be at most {max_chars} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(fault(field, "must not contain control characters"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_neither_blank_nor_long_nor_invisible() {
        assert_eq!(line("title", "  여름밤 ", 3).unwrap(), "여름밤");
        for (text, rule) in [
            (" \t ", "is required"),
            ("여름밤의", "must be at most 3 characters"),
            ("a\0b", "must not contain control characters"),
            ("a\nb", "must not contain control characters"),
        ] {
            assert_eq!(
                line("title", text, 3).unwrap_err(),
                fault("title", rule),
                "{text:?}"
            );
        }
        assert_eq!(optional_line("query", "", 3).unwrap(), "");
    }

    #[test]
    fn letters_are_composed_before_they_are_counted() {
        // 하늘, letter by letter.
        let decomposed = "\u{1112}\u{1161}\u{1102}\u{1173}\u{11af}";
        assert_eq!(line("title", decomposed, 2).unwrap(), "하늘");
        // One that composing makes longer.
        assert!(line("title", "\u{0958}", 1).is_err());
    }
}
