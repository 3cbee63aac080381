//! A control plane for the operator: a real etcd and a real kube-apiserver, and nothing else.
//!
//! Nothing else means that nobody starts pods, binds claims or collects garbage. What the tests
//! need of that is controllers by [`FakeControllers`], and only when a test says so. Every run has a namespace
//! of its own, which is never deleted: the API server ends with the suite.

pub mod api_server;
pub mod audit;
pub mod certificates;
pub mod change;
pub mod changes;
pub mod declared;
pub mod definitions;
pub mod fake_controllers;
pub mod kept;
pub mod namespace;
pub mod operator;
pub mod programs;
pub mod snapshot;
pub mod specs;
pub mod watched;
pub mod wire;

pub use api_server::ApiServer;
pub use change::Change;
pub use fake_controllers::FakeControllers;
pub use namespace::Namespace;
pub use operator::Operator;
pub use watched::Watched;
pub use wire::{Call, Fault, Wire};
