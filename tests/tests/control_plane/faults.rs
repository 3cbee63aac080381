//! Converges: whatever fails at whatever call, the shop ends as it would have without.

use catalog_tests::control_plane::{Change, Fault, changes};

async fn survives_every_outage(change: fn() -> Change) {
    change().comes_to_the_same_with(&Fault::OUTAGES).await;
}

async fn survives_every_stale_read(change: fn() -> Change) {
    change().comes_to_the_same_with(&[Fault::Stale]).await;
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
async fn every_change_survives_a_reconcile_that_reads_nothing_but_the_past() {
    for change in changes::all() {
        change().comes_to_the_same_after_a_reconcile_that_reads_the_past().await;
    }
}

#[tokio::test]
async fn every_change_survives_a_reconcile_of_the_catalog_as_it_was() {
    for change in changes::all() {
        change().comes_to_the_same_after_a_reconcile_of_the_past().await;
    }
}
