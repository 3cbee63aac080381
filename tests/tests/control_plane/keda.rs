//! What isn't installed is done without, and used as soon as it is there.

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

/// Replicas of notifier, tracker and fulfiller.
async fn workers(operator: &Operator) -> [Option<i32>; 3] {
    [replicas(operator, "shop-notifier").await, replicas(operator, "shop-tracker").await, replicas(operator, "shop-fulfiller").await]
}

/// Names of the scaled objects, or nothing if there are no such things.
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
async fn keda_is_used_as_soon_as_it_is_installed_and_done_without_when_it_is_gone() {
    let server = ApiServer::start().await;
    let client = server.client().await;
    let mut operator = Operator::on(&server, Namespace::new(&server, "keda").await).await;
    operator.apply(&autoscaled()).await.unwrap();
    operator.settle().await;
    assert_eq!(scaled(&operator).await, None);
    assert_eq!(workers(&operator).await, [Some(1), Some(3), Some(1)]);
    let postgres = operator.namespace().api::<StatefulSet>().get("shop-postgres").await.unwrap().spec.template;

    definitions::install_keda(&client).await;
    operator.settle().await;
    assert_eq!(scaled(&operator).await.unwrap(), ["shop-fulfiller", "shop-notifier", "shop-tracker"]);
    // Nothing falls to a default at the moment when somebody else takes over.
    assert_eq!(workers(&operator).await, [Some(1), Some(3), Some(1)]);
    operator.controllers().scale("shop-tracker", 6).await;
    operator.settle().await;
    assert_eq!(replicas(&operator, "shop-tracker").await, Some(6), "the autoscaler's number is not the operator's to change");

    let said = operator.condition("AutoscalingReady").await;
    assert!(said.holds, "{said:?}");

    definitions::uninstall_keda(&client).await;
    operator.settle().await;
    assert_eq!(workers(&operator).await, [Some(1), Some(3), Some(1)]);
    let said = operator.condition("AutoscalingReady").await;
    assert!(!said.holds && said.reason == "KedaNotInstalled", "{said:?}");
    let after = operator.namespace().api::<StatefulSet>().get("shop-postgres").await.unwrap().spec.template;
    assert_eq!(postgres, after, "PostgreSQL isn't restarted for what KEDA does");
}

#[tokio::test]
async fn an_autoscaler_of_the_api_takes_over_what_is_there_and_gives_it_back() {
    let mut operator = Operator::new("handover").await;
    let fixed = |replicas: i32| with(minimal(), "/api", json!({"replicas": replicas}));
    let scaled =
        with(minimal(), "/api", json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 9, "targetCPUUtilizationPercentage": 70}}));
    operator.apply(&fixed(5)).await.unwrap();
    operator.settle().await;
    operator.apply(&scaled).await.unwrap();
    operator.settle().await;
    assert_eq!(replicas(&operator, "shop-api").await, Some(5));
    operator.controllers().scale("shop-api", 7).await;
    operator.settle().await;
    assert_eq!(replicas(&operator, "shop-api").await, Some(7));
    operator.apply(&fixed(3)).await.unwrap();
    operator.settle().await;
    assert_eq!(replicas(&operator, "shop-api").await, Some(3));
}

#[tokio::test]
async fn postgres_is_not_restarted_for_fewer_connections_and_gives_up_those_of_an_edit() {
    let mut operator = Operator::new("connections").await;
    let connections = async |operator: &Operator| {
        let set = operator.namespace().api::<StatefulSet>().get("shop-postgres").await.unwrap();
        set.spec.template.spec.unwrap().containers[0].args.clone().unwrap().remove(2)
    };
    for replicas in [30, 2] {
        operator.apply(&with(minimal(), "/api", json!({"replicas": replicas}))).await.unwrap();
        operator.settle().await;
        assert_eq!(connections(&operator).await, "max_connections=500", "with {replicas} declared");
    }
    let edit = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/args/2", "value": "max_connections=900"}]);
    let asked = PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
    let edit = Patch::Json::<()>(serde_json::from_value(edit).unwrap());
    operator.namespace().api::<StatefulSet>().patch("shop-postgres", &asked, &edit).await.unwrap();
    operator.settle().await;
    assert_eq!(connections(&operator).await, "max_connections=200", "an edit is reverted to what is declared");
}
