//! The operator uses KEDA when it is installed, and fixed replicas otherwise. Autoscalers take over the current replicas.

use catalog_tests::control_plane::{
    ApiServer, Namespace, Operator, definitions,
    specs::{minimal, with},
};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

async fn replicas(operator: &Operator, name: &str) -> Option<i32> {
    operator.namespace().api::<Deployment>().get(name).await.unwrap().spec.replicas
}

/// Returns the replicas of notifier, tracker and fulfiller.
async fn workers(operator: &Operator) -> [Option<i32>; 3] {
    [replicas(operator, "shop-notifier").await, replicas(operator, "shop-tracker").await, replicas(operator, "shop-fulfiller").await]
}

/// Returns the names of the `ScaledObject`s, or `None` if the kind is not installed.
async fn scaled(operator: &Operator) -> Option<Vec<String>> {
    let kind = definitions::resource("keda.sh", "v1alpha1", "ScaledObject");
    let list = operator.namespace().dynamic(&kind).list(&ListParams::default()).await.ok()?;
    Some(list.items.into_iter().filter_map(|object| object.metadata.name).collect())
}

fn autoscaled() -> Value {
    let worker = |min: i32| json!({"minReplicas": min, "maxReplicas": 8, "lagThreshold": 100});
    let workers = [("/notifier/autoscaling", worker(0)), ("/tracker/autoscaling", worker(3)), ("/fulfiller/autoscaling", worker(0))];
    workers.into_iter().fold(minimal(), |spec, (pointer, autoscaling)| with(spec, pointer, autoscaling))
}

#[tokio::test]
async fn workers_are_scaled_by_keda_only_while_it_is_installed() {
    let server = ApiServer::start().await;
    let client = server.client().await;
    let mut operator = Operator::on(&server, Namespace::new(&server, "keda").await).await;
    operator.apply(&autoscaled()).await.unwrap();
    operator.reconcile_until_ready().await;
    assert_eq!(scaled(&operator).await, None);
    assert_eq!(workers(&operator).await, [Some(1), Some(3), Some(1)]);
    let postgres = operator.namespace().api::<StatefulSet>().get("shop-postgres").await.unwrap().spec.template;

    definitions::install_keda(&client).await;
    operator.reconcile_until_ready().await;
    assert_eq!(scaled(&operator).await.unwrap(), ["shop-fulfiller", "shop-notifier", "shop-tracker"]);
    // The replicas do not fall to a default when KEDA takes over.
    assert_eq!(workers(&operator).await, [Some(1), Some(3), Some(1)]);
    operator.controllers().scale("shop-tracker", 6).await;
    operator.reconcile_until_ready().await;
    assert_eq!(replicas(&operator, "shop-tracker").await, Some(6), "the operator keeps the autoscaler's replicas");

    let condition = operator.condition("AutoscalingReady").await;
    assert!(condition.is_true, "{condition:?}");

    definitions::uninstall_keda(&client).await;
    operator.reconcile_until_ready().await;
    assert_eq!(workers(&operator).await, [Some(1), Some(3), Some(1)]);
    let condition = operator.condition("AutoscalingReady").await;
    assert!(!condition.is_true && condition.reason == "KedaNotInstalled", "{condition:?}");
    let after = operator.namespace().api::<StatefulSet>().get("shop-postgres").await.unwrap().spec.template;
    assert_eq!(postgres, after, "PostgreSQL isn't restarted when KEDA is installed or uninstalled");
}

#[tokio::test]
async fn an_autoscaler_of_the_api_sets_the_replicas_and_fixed_replicas_apply_again_without_it() {
    let mut operator = Operator::new("handover").await;
    let fixed = |replicas: i32| with(minimal(), "/api", json!({"replicas": replicas}));
    let scaled =
        with(minimal(), "/api", json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 9, "targetCPUUtilizationPercentage": 70}}));
    operator.apply(&fixed(5)).await.unwrap();
    operator.reconcile_until_ready().await;
    operator.apply(&scaled).await.unwrap();
    operator.reconcile_until_ready().await;
    assert_eq!(replicas(&operator, "shop-api").await, Some(5));
    operator.controllers().scale("shop-api", 7).await;
    operator.reconcile_until_ready().await;
    assert_eq!(replicas(&operator, "shop-api").await, Some(7));
    operator.apply(&fixed(3)).await.unwrap();
    operator.reconcile_until_ready().await;
    assert_eq!(replicas(&operator, "shop-api").await, Some(3));
}

#[tokio::test]
async fn fewer_connections_do_not_restart_postgresql_and_an_edit_of_them_is_reverted() {
    let mut operator = Operator::new("connections").await;
    let connections = async |operator: &Operator| {
        let set = operator.namespace().api::<StatefulSet>().get("shop-postgres").await.unwrap();
        set.spec.template.spec.unwrap().containers[0].args.clone().unwrap().remove(2)
    };
    for replicas in [30, 2] {
        operator.apply(&with(minimal(), "/api", json!({"replicas": replicas}))).await.unwrap();
        operator.reconcile_until_ready().await;
        assert_eq!(connections(&operator).await, "max_connections=500", "with {replicas} declared");
    }
    let edit = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/args/2", "value": "max_connections=900"}]);
    let params = PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
    let edit = Patch::Json::<()>(serde_json::from_value(edit).unwrap());
    operator.namespace().api::<StatefulSet>().patch("shop-postgres", &params, &edit).await.unwrap();
    operator.reconcile_until_ready().await;
    assert_eq!(connections(&operator).await, "max_connections=200", "the edit is reverted to the declared value");
}
