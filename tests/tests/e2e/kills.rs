//! Pods that are killed.

use std::collections::HashSet;

use catalog_tests::wait;
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, api::DeleteParams};
use serde_json::json;

use crate::{
    shop::{EDITOR, PATIENCE, Shop},
    usage,
};

/// Kills all pods of each part in turn, at once and without a farewell. Changes made right before and after are mailed.
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
        wait::within(PATIENCE, &format!("{component} comes back"), async || {
            let pods = shop.pods(component).await;
            let new = pods.iter().any(|pod| !killed.contains(&pod.uid().unwrap()) && is_ready(pod));
            wait::holds(new, || pods.iter().map(ResourceExt::name_any).collect::<Vec<_>>())
        })
        .await;
        shop.is_ready().await;
        let after = format!("[after the kill of {component}]");
        rename(shop, path, &after).await;
        for mail in [&before, &after] {
            wait::within(PATIENCE, &format!("the mail about {mail} arrives"), async || {
                let mails = shop.inbox.mails_for(EDITOR.1).await;
                wait::holds(mails.iter().any(|arrived| arrived.mentions(mail)), || mails.len())
            })
            .await;
        }
    }
}

/// Changes a product. With every pod of the API killed, the node may need another second to know the new ones.
async fn rename(shop: &Shop, path: &str, name: &str) {
    wait::within(PATIENCE, "a change is taken", async || {
        let reply = shop.admin.patch(path, &json!({"name": name})).attempt().await.map_err(|error| error.to_string())?;
        wait::holds(reply.status == 200, || reply.text())
    })
    .await;
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
