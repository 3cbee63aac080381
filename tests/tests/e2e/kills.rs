//! Kills of pods.

use std::collections::HashSet;

use catalog_tests::wait;
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, api::DeleteParams};
use serde_json::json;

use crate::{
    shop::{EDITOR, Shop, TIMEOUT},
    usage,
};

/// Kills all pods of each part in turn, without a grace period. Changes right before and after a kill are mailed.
pub async fn each_pod(shop: &Shop) {
    let path = &usage::paths(shop).await[1];
    for component in ["notifier", "tracker", "fulfiller", "nats", "api", "postgres"] {
        let before = format!("[before the kill of {component}]");
        rename(shop, path, &before).await;
        let killed = shop.pods(component).await;
        assert!(!killed.is_empty(), "{component} has no pods");
        for pod in &killed {
            shop.kube::<Pod>().delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await.unwrap();
        }
        let killed: HashSet<_> = killed.iter().filter_map(ResourceExt::uid).collect();
        wait::within(TIMEOUT, &format!("{component} has a new ready pod"), async || {
            let pods = shop.pods(component).await;
            let new = pods.iter().any(|pod| !killed.contains(&pod.uid().unwrap()) && is_ready(pod));
            wait::check(new, || pods.iter().map(ResourceExt::name_any).collect::<Vec<_>>())
        })
        .await;
        shop.becomes_ready().await;
        let after = format!("[after the kill of {component}]");
        rename(shop, path, &after).await;
        for mail in [&before, &after] {
            wait::within(TIMEOUT, &format!("the mail about {mail} arrives"), async || {
                let mails = shop.inbox.mails_for(EDITOR.1).await;
                wait::check(mails.iter().any(|arrived| arrived.mentions(mail)), || mails.len())
            })
            .await;
        }
    }
}

/// Changes a product. Retries, because kube-proxy may need another second for the endpoints of new pods.
async fn rename(shop: &Shop, path: &str, name: &str) {
    wait::within(TIMEOUT, "a change succeeds", async || {
        let reply = shop.admin.patch(path, &json!({"name": name})).attempt().await.map_err(|error| error.to_string())?;
        wait::check(reply.status == 200, || reply.text())
    })
    .await;
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
