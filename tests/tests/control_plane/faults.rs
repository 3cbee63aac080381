//! After a fault at any API call, the objects converge to those of a run without faults.

use catalog_tests::control_plane::{Change, Fault, changes};

async fn survives_a_fault_at_every_call(change: fn() -> Change) {
    change().assert_converges_with_each_fault(&Fault::CALL_FAULTS).await;
}

async fn survives_a_stale_response_at_every_read(change: fn() -> Change) {
    change().assert_converges_with_each_fault(&[Fault::Stale]).await;
}

#[tokio::test]
async fn an_install_survives_a_fault_at_every_call() {
    survives_a_fault_at_every_call(changes::install).await;
}

#[tokio::test]
async fn an_update_survives_a_fault_at_every_call() {
    survives_a_fault_at_every_call(changes::update).await;
}

#[tokio::test]
async fn scaling_survives_a_fault_at_every_call() {
    survives_a_fault_at_every_call(changes::scale).await;
}

#[tokio::test]
async fn a_new_image_survives_a_fault_at_every_call() {
    survives_a_fault_at_every_call(changes::new_image).await;
}

#[tokio::test]
async fn a_rotation_of_all_secrets_survives_a_fault_at_every_call() {
    survives_a_fault_at_every_call(changes::rotation).await;
}

#[tokio::test]
async fn a_deletion_survives_a_fault_at_every_call() {
    survives_a_fault_at_every_call(changes::deletion).await;
}

#[tokio::test]
async fn every_change_survives_a_stale_response_at_every_read() {
    for change in changes::all() {
        survives_a_stale_response_at_every_read(change).await;
    }
}

#[tokio::test]
async fn every_change_survives_a_reconcile_with_only_stale_reads() {
    for change in changes::all() {
        change().assert_converges_after_stale_reads().await;
    }
}

#[tokio::test]
async fn every_change_survives_a_reconcile_of_an_outdated_catalog() {
    for change in changes::all() {
        change().assert_converges_after_an_outdated_reconcile().await;
    }
}
