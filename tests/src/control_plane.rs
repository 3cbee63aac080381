//! A control plane for tests of the operator: a real etcd and kube-apiserver, without controllers, scheduler or nodes.
//!
//! [`FakeControllers`] writes the statuses that those would write, when a test calls it. Each test has its own namespace,
//! which is never deleted because the API server is discarded with the suite.

pub mod admission;
pub mod api_server;
pub mod audit;
pub mod call_recorder;
pub mod certificates;
pub mod change;
pub mod changes;
pub mod data_objects;
pub mod declared;
pub mod definitions;
pub mod fake_controllers;
pub mod namespace;
pub mod operator;
pub mod programs;
pub mod running_operator;
pub mod snapshot;
pub mod specs;

pub use api_server::ApiServer;
pub use call_recorder::{Call, CallRecorder, Fault};
pub use change::Change;
pub use fake_controllers::FakeControllers;
pub use namespace::Namespace;
pub use operator::Operator;
pub use running_operator::RunningOperator;
