//! Ranges of time: the requested span, widened to whole buckets.

use std::{ops::RangeInclusive, str::FromStr};

use catalog_values::full_date;
use chrono::{DateTime, Datelike, Days, DurationRound, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, de};
use sqlx::PgConnection;

use super::{Bucket, Error};

/// Allowed years of a bound, in UTC. Widened to whole buckets in any time zone, they still have four digits.
const YEARS: RangeInclusive<i32> = 1970..=9998;
/// Maximum length of a range, in days.
pub const MAX_DAYS: i64 = 366;
/// Default length of a range in days, today included.
const DEFAULT_DAYS: u64 = 7;
pub(super) const HOUR: TimeDelta = TimeDelta::hours(1);

/// A requested end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// A day in the time zone of the report.
    Day(NaiveDate),
    /// A point in time.
    Instant(DateTime<Utc>),
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let day = full_date::parse(text).map(Self::Day);
        let bound = day.or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|time| Self::Instant(time.to_utc())));
        bound.filter(|bound| YEARS.contains(&bound.year())).ok_or_else(|| {
            let (first, last) = (YEARS.start(), YEARS.end());
            format!(
                "must be a day such as 2026-11-21 or an RFC 3339 time such as 2026-11-21T10:00:00Z, of the years {first} to {last}; \
                 encode + as %2B in a query string"
            )
        })
    }
}

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Bound {
    fn year(self) -> i32 {
        match self {
            Self::Day(day) => day.year(),
            Self::Instant(time) => time.year(),
        }
    }

    fn split(self) -> (Option<NaiveDate>, Option<DateTime<Utc>>) {
        match self {
            Self::Day(day) => (Some(day), None),
            Self::Instant(time) => (None, Some(time)),
        }
    }
}

/// The requested span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First day, or time, of the span.
    pub from: Bound,
    /// Last day, or time, of the span. A day is included.
    pub to: Bound,
}

impl Span {
    /// Completes a span: it defaults to the last seven days.
    #[must_use]
    pub fn new(from: Option<Bound>, to: Option<Bound>, bucket: Bucket, now: DateTime<Utc>) -> Self {
        let to = to.unwrap_or(Bound::Instant(now));
        let days = Days::new(DEFAULT_DAYS);
        let from = from.unwrap_or_else(|| match (to, bucket) {
            (Bound::Day(day), _) => Bound::Day(day - days + Days::new(1)),
            // Widening adds the first part of the first bucket.
            (Bound::Instant(time), Bucket::Day) => Bound::Instant(time - days + Days::new(1)),
            (Bound::Instant(time), Bucket::Hour) => Bound::Instant(time - days + HOUR),
        });
        Self { from, to }
    }

    /// Widens the span to whole buckets in the time zone `zone`, which must exist.
    ///
    /// # Errors
    /// If the span is empty or too long.
    pub async fn widen(self, conn: &mut PgConnection, bucket: Bucket, zone: &str) -> Result<Range, Error> {
        let ((first_day, first), (last_day, last)) = (self.from.split(), self.to.split());
        let row = sqlx::query!(
            r#"SELECT lower AS "lower!", upper AS "upper!",
                      date_trunc('day', lower, $5) AS "first_day!",
                      (date_trunc('day', (upper - interval '1 microsecond') AT TIME ZONE $5) + interval '1 day') AT TIME ZONE $5 AS "end_of_last_day!"
               FROM (SELECT COALESCE($1::date::timestamp AT TIME ZONE $5, $2::timestamptz) AS lower,
                            COALESCE(($3::date + 1)::timestamp AT TIME ZONE $5, $4::timestamptz) AS upper) AS given"#,
            first_day,
            first,
            last_day,
            last,
            zone,
        )
        .fetch_one(conn)
        .await?;
        if row.lower >= row.upper {
            return Err(Error::EmptyRange);
        }
        if row.upper - row.lower > TimeDelta::days(MAX_DAYS) + HOUR {
            return Err(Error::RangeTooLong);
        }
        Ok(match bucket {
            Bucket::Day => Range { from: row.first_day, to: row.end_of_last_day },
            Bucket::Hour => Range { from: start_of_hour(row.lower), to: next_hour(row.upper) },
        })
    }
}

/// A range of whole buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Inclusive.
    pub from: DateTime<Utc>,
    /// Exclusive.
    pub to: DateTime<Utc>,
}

/// Start of the hour of `time`.
fn start_of_hour(time: DateTime<Utc>) -> DateTime<Utc> {
    time.duration_trunc(HOUR).unwrap_or(time)
}

/// First start of an hour at or after `time`.
pub(super) fn next_hour(time: DateTime<Utc>) -> DateTime<Utc> {
    let start = start_of_hour(time);
    if start == time { time } else { start + HOUR }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_bound_is_a_day_or_a_time() {
        assert_eq!("2026-11-21".parse(), Ok(Bound::Day(NaiveDate::from_ymd_opt(2026, 11, 21).unwrap())));
        assert_eq!("2026-11-21T12:00:00+02:00".parse(), Ok(Bound::Instant(at("2026-11-21T10:00:00Z"))));
        for bad in [
            "",
            "yesterday",
            "2026-11-31",
            "2026-11-21 10:00",
            "2026-11-21T12:00:00 02:00",
            "1969-12-31",
            "+12345-01-01",
            "2026-1-1",
            "9999-01-01",
            "9999-12-31T23:59:59Z",
        ] {
            assert!(bad.parse::<Bound>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_default_range_is_seven_days_including_today() {
        let now = at("2026-11-21T10:17:00Z");
        let from = |bucket| match Span::new(None, None, bucket, now).from {
            Bound::Instant(time) => time,
            Bound::Day(_) => panic!("a moment"),
        };
        assert_eq!(from(Bucket::Day).date_naive().to_string(), "2026-11-15");
        assert_eq!(start_of_hour(from(Bucket::Hour)), at("2026-11-14T11:00:00Z"), "168 hours, this one included");
        let day = Span::new(None, Some("2026-11-07".parse().unwrap()), Bucket::Hour, now);
        assert_eq!(day.from, "2026-11-01".parse().unwrap());
    }

    #[test]
    fn hours_are_widened_outwards() {
        assert_eq!(start_of_hour(at("2026-11-21T10:59:59.999Z")), at("2026-11-21T10:00:00Z"));
        assert_eq!(next_hour(at("2026-11-21T10:00:00Z")), at("2026-11-21T10:00:00Z"));
        assert_eq!(next_hour(at("2026-11-21T10:00:00.000001Z")), at("2026-11-21T11:00:00Z"));
    }
}
