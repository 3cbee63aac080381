//! Formats the tables of results.

/// Returns the median.
///
/// # Panics
/// Without any.
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[middle - 1], sorted[middle]) } else { sorted[middle] }
}

/// Formats a whole number with thousands separated: `61,234`.
#[allow(clippy::cast_possible_truncation, reason = "rates are small")]
pub fn grouped(number: f64) -> String {
    let digits = (number.round() as i64).to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a line of the table: a name, a number per round, their median.
pub fn row(name: &str, rounds: &[f64], shown: impl Fn(f64) -> String) -> String {
    let cells = rounds.iter().map(|number| format!("{:>10}", shown(*number))).collect::<String>();
    format!("{name:<26}{cells}{:>10}", shown(median(rounds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_halved() {
        assert_eq!(grouped(1_234_567.4), "1,234,567");
        assert_eq!(grouped(999.0), "999");
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
    }
}
