//! Carts, and how orders are fulfilled.

use std::time::Duration;

use catalog_process::config::Checker;
use clap::Args;

/// Carts.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Carts")]
pub struct CartArgs {
    /// How long a cart keeps its reservations after its last change
    #[arg(long, env = "CART_TTL", default_value = "30m", value_name = "DURATION")]
    cart_ttl: String,
}

impl CartArgs {
    /// Checks the setting: 1 second to 7 days.
    pub fn check(&self, check: &mut Checker) -> Option<Duration> {
        check.duration("CART_TTL", &self.cart_ttl, Duration::from_secs(1), Duration::from_hours(7 * 24))
    }
}

/// How orders are fulfilled.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Fulfilment")]
pub struct FulfilmentArgs {
    /// How long a confirmed order can still be cancelled before it is fulfilled
    #[arg(long, env = "FULFILMENT_DELAY", default_value = "10m", value_name = "DURATION")]
    fulfilment_delay: String,
}

impl FulfilmentArgs {
    /// Checks the setting: up to 30 days.
    pub fn check(&self, check: &mut Checker) -> Option<Duration> {
        check.duration("FULFILMENT_DELAY", &self.fulfilment_delay, Duration::ZERO, Duration::from_hours(30 * 24))
    }
}
