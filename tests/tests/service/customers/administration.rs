//! Administration of customers by admins.

use catalog_tests::{
    Shop,
    people::{ADA, CAROL, DAVE},
};
use serde_json::{Value, json};

use super::{ME, PASSWORD, login, names, newcomer, newcomers, refresh, register, sign_in};

#[tokio::test]
async fn accounts_are_not_found_by_the_routes_of_the_other_role() {
    let shop = Shop::api().await;
    let (customer, _, path) = register(&shop, "clara").await;
    let missing = [
        (format!("/v1/customers/{}", shop.people.grace.id), "No customer has this id."),
        (format!("/v1/customers/{}", shop.people.owner.id), "No customer has this id."),
        (format!("/v1/customers/{}", uuid::Uuid::now_v7()), "No customer has this id."),
        (format!("/v1/admins/{}", customer["id"].as_str().unwrap()), "No admin has this id."),
    ];
    for (path, detail) in &missing {
        let restore = format!("{path}/restore");
        for reply in [shop.ada.get(path).await, shop.ada.delete(path).await, shop.ada.post_empty(&restore).await] {
            assert_eq!(reply.problem(404, "not-found")["detail"], *detail);
        }
    }
    shop.ada.patch(&missing[3].0, &json!({"full_name": "x"})).await.problem(404, "not-found");
    for id in ["42", "%20", &format!("{}x", shop.people.ada.id)] {
        shop.ada.get(&format!("/v1/customers/{id}")).await.problem(404, "not-found");
    }
    shop.ada.patch(&path, &json!({"full_name": "x"})).await.problem(405, "method-not-allowed");
    assert_eq!(shop.ada.get(&path).await.expect(200).json(), customer);
    shop.grace.get("/v1/admins").await.expect(200);
}

#[tokio::test]
async fn pages_list_each_customer_once_oldest_first() {
    let shop = Shop::api().await;
    let newer: Vec<_> = (0..5).map(|number| format!("clara{number}")).collect();
    for username in &newer {
        shop.anyone.post("/v1/customers", &newcomer(username)).await.expect(201);
    }
    let (mut path, mut seen, mut pages) = ("/v1/customers?limit=2".to_owned(), Vec::new(), 0);
    loop {
        let reply = shop.ada.get(&path).await.expect(200);
        let page = reply.json();
        seen.extend(names(&page));
        pages += 1;
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        assert!(reply.header("link").contains("rel=\"next\""));
        path = format!("/v1/customers?limit=2&cursor={cursor}");
    }
    // After those that every shop has.
    assert_eq!(seen, [&[CAROL.0.to_owned(), DAVE.0.to_owned()], &newer[..]].concat());
    assert_eq!(pages, 4);
    let of_admins = shop.ada.get("/v1/admins?limit=1").await.expect(200).json()["next_cursor"].as_str().unwrap().to_owned();
    let foreign = format!("cursor={of_admins}");
    for bad in
        ["limit=0", "limit=201", "limit=x", "cursor=nonsense", "cursor=", "unknown=1", "email=", "email=clara", "email=%00", &foreign]
    {
        shop.ada.get(&format!("/v1/customers?{bad}")).await.problem(400, "invalid-parameters");
    }
}

#[tokio::test]
async fn a_customer_is_found_by_the_whole_address_case_insensitively() {
    let shop = Shop::api().await;
    for username in ["clara", "dan", "clara2"] {
        shop.anyone.post("/v1/customers", &newcomer(username)).await.expect(201);
    }
    for (email, found) in [("clara@home.test", vec!["clara"]), ("DAN@Home.test", vec!["dan"]), ("ara@home.test", vec![]), (ADA.1, vec![])] {
        let page = shop.ada.get(&format!("/v1/customers?email={email}")).await.expect(200).json();
        assert_eq!(names(&page), found, "{email}");
        assert_eq!(page["next_cursor"], Value::Null);
    }
}

#[tokio::test]
async fn a_deactivated_customer_loses_access_at_once_and_can_be_restored() {
    let shop = Shop::api().await;
    let (_, clara, path) = register(&shop, "clara").await;
    let (_, pair) = sign_in(&shop, "clara", PASSWORD).await;
    clara.get(ME).await.expect(200);

    shop.ada.delete(&path).await.expect(204);
    shop.ada.delete(&path).await.expect(204);
    clara.get(ME).await.problem(401, "token-revoked");
    clara.delete(ME).await.problem(401, "token-revoked");
    refresh(&shop, &pair).await.problem(401, "token-revoked");
    login(&shop, "clara", PASSWORD).await.problem(401, "invalid-credentials");
    let shown = shop.ada.get(&path).await.expect(200).json();
    assert_eq!(shown["is_active"], false);
    assert_eq!(newcomers(&shop).await, ["clara"]);
    // No other account can get username and address.
    assert_eq!(shop.anyone.post("/v1/customers", &newcomer("clara")).await.expect(409).pointers(), ["#/username", "#/email"]);

    let restored = shop.ada.post_empty(&format!("{path}/restore")).await.expect(200).json();
    assert_eq!(restored["is_active"], true);
    assert_eq!(shop.ada.post_empty(&format!("{path}/restore")).await.expect(200).json(), restored);
    clara.get(ME).await.problem(401, "token-revoked");
    refresh(&shop, &pair).await.problem(401, "token-revoked");
    let (clara, _) = sign_in(&shop, "clara", PASSWORD).await;
    assert_eq!(clara.get(ME).await.expect(200).json(), restored);
}
