//! Dates in the spellings people and programs use. What doesn't name one day is not a date: nothing
//! is guessed, neither a missing year nor which of two numbers is the month.

use chrono::{
    Datelike, NaiveDate,
    format::{Parsed, StrftimeItems, parse as parse_format},
};

/// Spellings of a date alone, as [`chrono::format::strftime`] has them; `%B` also reads short names.
const DATES: [&str; 19] = [
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y%m%d",
    "%Y %B %d",
    "%d %B %Y",
    "%d %B, %Y",
    "%d. %B %Y",
    "%d-%B-%Y",
    "%B %d %Y",
    "%B %d, %Y",
    "%A %d %B %Y",
    "%A, %d %B %Y",
    "%A, %B %d, %Y",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
];
/// Between a date and a time.
const SEPARATORS: [&str; 3] = ["T", " ", ", "];
/// Spellings of a time, from the hour alone.
const TIMES: [&str; 6] = ["%H", "%H:%M", "%H:%M:%S%.f", "%H%M%S", "%I:%M %p", "%I:%M:%S %p"];
/// Spellings of a zone.
const ZONES: [&str; 6] = ["", "Z", "%z", " %z", " UTC", " GMT"];

/// The day, if the text names exactly one. A time of day may follow; the day is the one written.
#[must_use]
pub fn parse(text: &str) -> Option<NaiveDate> {
    let text = without_ordinals(text.trim());
    let mut days = DATES.iter().filter_map(|format| day(&text, format));
    let day = days.next()?;
    days.all(|other| other == day).then_some(day)
}

fn day(text: &str, format: &str) -> Option<NaiveDate> {
    let (day, rest) = NaiveDate::parse_and_remainder(text, format).ok()?;
    // Two digits would be a year of antiquity.
    ((1000..=9999).contains(&day.year()) && (rest.is_empty() || is_time(rest))).then_some(day)
}

fn is_time(rest: &str) -> bool {
    let Some(time) = SEPARATORS.iter().find_map(|separator| rest.strip_prefix(separator)) else { return false };
    TIMES.iter().any(|format| {
        ZONES.iter().any(|zone| {
            let format = format!("{format}{zone}");
            parse_format(&mut Parsed::new(), time, StrftimeItems::new(&format)).is_ok()
        })
    })
}

/// `March 3rd` is `March 3`.
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
    use super::*;

    #[test]
    fn many_spellings_name_a_day() {
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
            ("Monday, October 6, 1980", "1980-10-06"),
            ("October 6, 1980 3:15 PM", "1980-10-06"),
            ("23.05.2014", "2014-05-23"),
            ("23/05/2014", "2014-05-23"),
            ("05/23/2014", "2014-05-23"),
            ("05/05/2014", "2014-05-05"),
        ] {
            assert_eq!(parse(text).map(|day| day.to_string()).as_deref(), Some(day), "{text}");
        }
    }

    #[test]
    fn nothing_is_guessed() {
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
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
