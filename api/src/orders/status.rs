//! Statuses of an order and the transitions between them.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Status of an order. It only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case", try_from = "String")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = OrderStatus)]
pub enum Status {
    /// Placed; its stock is deducted.
    Pending,
    /// Accepted. It can still be cancelled.
    Confirmed,
    /// Delivered. Final.
    Fulfilled,
    /// Cancelled by the customer or an admin; its stock is returned. Final.
    Cancelled,
    /// Cannot be fulfilled; its stock is returned. Final.
    Failed,
}

impl Status {
    /// All statuses, in order.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Confirmed, Self::Fulfilled, Self::Cancelled, Self::Failed];

    /// Name in the API, in events and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Fulfilled => "fulfilled",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }

    /// Statuses that can follow this one.
    #[must_use]
    pub fn next(self) -> &'static [Self] {
        match self {
            Self::Pending => &[Self::Confirmed, Self::Cancelled, Self::Failed],
            Self::Confirmed => &[Self::Fulfilled, Self::Cancelled, Self::Failed],
            Self::Fulfilled | Self::Cancelled | Self::Failed => &[],
        }
    }

    /// Whether an order in this status has returned its stock.
    #[must_use]
    pub fn returns_stock(self) -> bool {
        matches!(self, Self::Cancelled | Self::Failed)
    }
}

/// Reads strings only. The derived implementation would also accept `{"confirmed": null}`.
impl TryFrom<String> for Status {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|status| status.as_str() == text);
        known.ok_or_else(|| format!("status must be one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_only_move_forward() {
        for (position, status) in Status::ALL.into_iter().enumerate() {
            assert!(status.next().iter().all(|next| Status::ALL.iter().position(|other| other == next) > Some(position)), "{status}");
        }
    }

    #[test]
    fn a_status_is_read_from_its_name_only() {
        for status in Status::ALL {
            assert_eq!(serde_json::from_value::<Status>(serde_json::to_value(status).unwrap()).unwrap(), status);
        }
        for other in [serde_json::json!("shipped"), serde_json::json!(""), serde_json::json!({"confirmed": null}), serde_json::json!(1)] {
            assert!(serde_json::from_value::<Status>(other.clone()).is_err(), "{other}");
        }
    }

    #[test]
    fn a_status_that_returns_stock_is_final() {
        for status in Status::ALL.into_iter().filter(|status| status.returns_stock()) {
            assert!(status.next().is_empty(), "{status}");
        }
    }
}
