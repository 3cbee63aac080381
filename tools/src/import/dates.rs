//! Parses dates in many formats. Ambiguous dates are rejected: neither a missing year nor the order of day and month is guessed.
//!
//! A pattern is a text in which these letters stand for a part of a date or time, and other characters for themselves. Unlike in
//! strftime, each letter also determines the number of digits:
//!
//! | letter | part | digits |
//! | --- | --- | --- |
//! | `Y` | year | 4 |
//! | `m`, `M` | month | 1 or 2, 2 |
//! | `d`, `D` | day | 1 or 2, 2 |
//! | `B` | name of a month, long or of three letters | |
//! | `A` | name of a weekday, long or of three letters | |
//! | `h`, `H` | hour from 0 to 23 | 1 or 2, 2 |
//! | `i` | hour from 1 to 12 | 1 or 2 |
//! | `n` | minute | 2 |
//! | `s` | second | 2 |
//! | `f` | fraction of a second | 1 to 9 |
//! | `p` | AM or PM | |

use chrono::{Datelike, Month, NaiveDate, Weekday};

/// Patterns of a date.
const DATES: [&str; 19] = [
    "Y-m-d",
    "Y/m/d",
    "Y.m.d",
    "YMD",
    "Y B d",
    "d B Y",
    "d B, Y",
    "d. B Y",
    "d-B-Y",
    "B d Y",
    "B d, Y",
    "A d B Y",
    "A, d B Y",
    "A, B d, Y",
    "d.m.Y",
    "d/m/Y",
    "m/d/Y",
    "d-m-Y",
    "m-d-Y",
];
/// Separators of date and time.
const SEPARATORS: [&str; 3] = ["T", " ", ", "];
/// Patterns of a time.
const TIMES: [&str; 8] = ["H", "h:n", "h:n:s", "h:n:s.f", "Hns", "Hn", "i:n p", "i:n:s p"];
/// Parses an unambiguous date. A time may follow and is ignored, so the date is that of the text's time zone.
#[must_use]
pub fn parse(text: &str) -> Option<NaiveDate> {
    let text = without_ordinals(text.trim());
    let mut days = DATES.iter().filter_map(|pattern| day(&text, pattern));
    let day = days.next()?;
    days.all(|other| other == day).then_some(day)
}

fn day(text: &str, pattern: &str) -> Option<NaiveDate> {
    let mut fields = Fields::default();
    let rest = fields.read(text, pattern)?;
    if !rest.is_empty() && !is_time(rest) {
        return None;
    }
    let day = NaiveDate::from_ymd_opt(i32::try_from(fields.year?).ok()?, fields.month?, fields.day?)?;
    fields.weekday.is_none_or(|weekday| weekday == day.weekday()).then_some(day)
}

fn is_time(rest: &str) -> bool {
    let Some(time) = SEPARATORS.iter().find_map(|separator| rest.strip_prefix(separator)) else { return false };
    TIMES.iter().any(|pattern| Fields::default().read(time, pattern).is_some_and(is_zone))
}

/// Whether a text is empty or a time zone.
fn is_zone(text: &str) -> bool {
    matches!(text, "" | "Z" | " UTC" | " GMT") || zone(text.strip_prefix(' ').unwrap_or(text)) == Some("")
}

/// Values that a pattern has matched.
#[derive(Default)]
struct Fields {
    year: Option<u32>,
    month: Option<u32>,
    day: Option<u32>,
    weekday: Option<Weekday>,
}

impl Fields {
    /// Matches `pattern` at the start of `text`, and returns the rest.
    fn read<'a>(&mut self, text: &'a str, pattern: &str) -> Option<&'a str> {
        pattern.chars().try_fold(text, |text, part| self.read_part(text, part))
    }

    fn read_part<'a>(&mut self, text: &'a str, part: char) -> Option<&'a str> {
        let (length, allowed) = match part {
            'B' | 'A' | 'p' => return self.read_word(text, part),
            'Y' => (4..=4, 1000..=9999),
            'm' | 'i' => (1..=2, 1..=12),
            'M' => (2..=2, 1..=12),
            'd' => (1..=2, 1..=31),
            'D' => (2..=2, 1..=31),
            'h' => (1..=2, 0..=23),
            'H' => (2..=2, 0..=23),
            'n' => (2..=2, 0..=59),
            // 60 is a leap second.
            's' => (2..=2, 0..=60),
            'f' => (1..=9, 0..=999_999_999),
            literal => return text.strip_prefix(literal),
        };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count().min(*length.end());
        if !length.contains(&digits) {
            return None;
        }
        let (digits, rest) = text.split_at(digits);
        let number: u32 = digits.parse().ok().filter(|number| allowed.contains(number))?;
        match part {
            'Y' => self.year = Some(number),
            'm' | 'M' => self.month = Some(number),
            'd' | 'D' => self.day = Some(number),
            _ => {}
        }
        Some(rest)
    }

    fn read_word<'a>(&mut self, text: &'a str, part: char) -> Option<&'a str> {
        let (word, rest) = text.split_at(text.bytes().take_while(u8::is_ascii_alphabetic).count());
        match part {
            'B' => self.month = Some(word.parse::<Month>().ok()?.number_from_month()),
            'A' => self.weekday = Some(word.parse().ok()?),
            _ if word.eq_ignore_ascii_case("am") || word.eq_ignore_ascii_case("pm") => {}
            _ => return None,
        }
        Some(rest)
    }
}

/// Matches an offset such as `+02:00` or `-0800`.
fn zone(text: &str) -> Option<&str> {
    let text = text.strip_prefix(['+', '-'])?;
    let mut ignored = Fields::default();
    ignored.read(text, "H:n").or_else(|| ignored.read(text, "Hn"))
}

/// Removes ordinal suffixes: `March 3rd` becomes `March 3`.
fn without_ordinals(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let bare = word.trim_end_matches(',');
        let number = ["st", "nd", "rd", "th"].iter().find_map(|suffix| bare.strip_suffix(suffix));
        match number {
            Some(number) if number.bytes().all(|c| c.is_ascii_digit()) && !number.is_empty() => number.to_owned() + &word[bare.len()..],
            _ => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_in_many_formats_are_parsed() {
        for (text, day) in [
            ("2014-03-08T15", "2014-03-08"),
            ("1991-03-11T01:39:21", "1991-03-11"),
            ("1991-03-11T01:39:21.123Z", "1991-03-11"),
            ("1991-03-11T23:39:21-08:00", "1991-03-11"),
            ("1991-03-11 23:39", "1991-03-11"),
            ("1991-03-11", "1991-03-11"),
            ("1991-3-1", "1991-03-01"),
            ("19910311", "1991-03-11"),
            ("1991/03/11", "1991-03-11"),
            ("March 30 1985", "1985-03-30"),
            ("March 30, 1985", "1985-03-30"),
            ("Mar 3rd, 1985", "1985-03-03"),
            ("06 Oct 1980", "1980-10-06"),
            ("6 october 1980", "1980-10-06"),
            ("6. October 1980", "1980-10-06"),
            ("06-Oct-1980", "1980-10-06"),
            ("Mon, 06 Oct 1980 12:30:00 +0200", "1980-10-06"),
            ("Mon, 06 Oct 1980 12:30:00 GMT", "1980-10-06"),
            ("1980-10-06 12:30 UTC", "1980-10-06"),
            ("1980-10-06 12:30:00 -0800", "1980-10-06"),
            ("Monday, October 6, 1980", "1980-10-06"),
            ("October 6, 1980 3:15 PM", "1980-10-06"),
            ("23.05.2014", "2014-05-23"),
            ("23/05/2014", "2014-05-23"),
            ("05/23/2014", "2014-05-23"),
            ("05/05/2014", "2014-05-05"),
            ("20240229", "2024-02-29"),
            ("1.2.2024", "2024-02-01"),
            ("2024-05-23 9:05", "2024-05-23"),
            ("20240523T091500Z", "2024-05-23"),
            ("2024-05-23 00:00:00.000", "2024-05-23"),
        ] {
            assert_eq!(parse(text).map(|day| day.to_string()).as_deref(), Some(day), "{text}");
        }
    }

    #[test]
    fn ambiguous_dates_are_rejected() {
        for text in [
            "",
            "May 23",
            "23 May",
            "May 2014",
            "2014",
            "2014-03",
            "15",
            "05/06/2014",
            "05-06-2014",
            "05 Jan 72",
            "1/2/14",
            "31 Feb 2014",
            "Tue, 06 Oct 1980",
            "tomorrow",
            "2014-03-08T15 or so",
            "0000-01-01",
            "10000-01-01",
            "2024051",
            "2024123",
            "202412",
            "202401150",
            "45123",
            "2024 052",
            "2024- 1-05",
            "+2024-01-05",
            "24-01-05",
            "2024-143",
            "2024-W21-4",
            "2024-05-23 24:00",
            "2024-05-23 12:60",
            "2024-05-23T5",
            "2024-05-23 0:30 PM",
            "２０２４-05-23",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    /// Generates dates and texts that resemble dates.
    fn date_like_text() -> impl Strategy<Value = String> {
        let number = prop_oneof![1900..2100u32, 1..32u32].prop_map(|number| number.to_string());
        let padded = (1..32u32).prop_map(|number| format!("{number:02}"));
        let name = prop::sample::select(vec!["May", "October", "feb", "Mon", "W"]).prop_map(str::to_owned);
        let part = prop_oneof![4 => number, 4 => padded, 1 => name, 1 => "[0-9]{1,9}"];
        let separator = prop::sample::select(vec!["-", "/", ".", " ", ", ", ""]);
        let parts = prop::collection::vec((part, separator), 1..4);
        parts.prop_map(|parts| parts.into_iter().map(|(part, separator)| part + separator).collect::<String>())
    }

    proptest! {
        #[test]
        fn a_parsed_date_has_the_digits_of_its_text(text in date_like_text()) {
            if let Some(day) = parse(&text) {
                let mut read: Vec<u32> = vec![day.year().try_into().unwrap(), day.month(), day.day()];
                let runs = text.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty());
                let written: Vec<u32> = match *runs.collect::<Vec<_>>() {
                    [run] => vec![run[..4].parse().unwrap(), run[4..6].parse().unwrap(), run[6..].parse().unwrap()],
                    ref runs => runs.iter().map(|run| run.parse().unwrap()).collect(),
                };
                if written.len() == 2 {
                    read.remove(1);
                }
                let sorted = |mut numbers: Vec<u32>| {
                    numbers.sort_unstable();
                    numbers
                };
                prop_assert_eq!(sorted(read), sorted(written), "{}", text);
                prop_assert!(text.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() == 4 || run.len() == 8), "{}", text);
            }
        }
    }
}
