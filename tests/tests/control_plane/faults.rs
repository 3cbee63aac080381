//! After a fault at any API call, the objects converge to those of a run without faults.

use catalog_tests::control_plane::{Change, Fault, changes};

async fn survives_every_outage(change: fn() -> Change) {
    change().assert_converges_with_each_fault(&Fault::OUTAGES).await;
}

async fn survives_every_stale_read(change: fn() -> Change) {
    change().assert_converges_with_each_fault(&[Fault::Stale]).await;
}

#[tokio::test]
async fn an_install_survives_every_outage() {
    survives_every_outage(changes::install).await;
}

#[tokio::test]
async fn an_update_survives_every_outage() {
    survives_every_outage(changes::update).await;
}

#[tokio::test]
async fn scaling_survives_every_outage() {
    survives_every_outage(changes::scale).await;
}

#[tokio::test]
async fn a_new_image_survives_every_outage() {
    survives_every_outage(changes::new_image).await;
}

#[tokio::test]
async fn a_rotation_of_all_secrets_survives_every_outage() {
    survives_every_outage(changes::rotation).await;
}

#[tokio::test]
async fn a_deletion_survives_every_outage() {
    survives_every_outage(changes::deletion).await;
}

#[tokio::test]
async fn every_change_survives_every_stale_read() {
    for change in changes::all() {
        survives_every_stale_read(change).await;
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
