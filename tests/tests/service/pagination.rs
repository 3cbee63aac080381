//! Pagination: for any sort order and filters, the pages contain every matching product exactly once.

use std::collections::BTreeMap;

use catalog_tests::{
    Api, Shop, eventually,
    samples::{self, create},
    wait::check,
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::{Value, json};

/// Reads all pages of a list and returns their items.
async fn read_all_pages(api: &Api, query: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut path = format!("/v1/products?{query}");
    loop {
        let reply = api.get(&path).await.expect(200);
        let page = reply.json();
        let on_page = page["items"].as_array().unwrap();
        items.extend(on_page.iter().cloned());
        assert!(items.len() < 10_000, "{query} never ends");
        let Some(cursor) = page["next_cursor"].as_str() else {
            assert!(page.get("next_cursor").is_some_and(Value::is_null), "{page}");
            assert_eq!(reply.header("link"), "");
            return items;
        };
        assert!(!on_page.is_empty(), "an empty page in the middle of {query}");
        let next = reply.header("link").to_owned();
        path = format!("/v1/products?{query}&cursor={cursor}");
        let linked = next.strip_prefix('<').and_then(|rest| rest.strip_suffix(">; rel=\"next\"")).unwrap_or_else(|| panic!("{next}"));
        if !query.contains("views") {
            // Views may be counted between two requests.
            let linked = api.get(linked).await.expect(200).json();
            assert_eq!(linked, api.get(&path).await.expect(200).json(), "the link and the cursor lead to different pages");
        }
    }
}

fn skus(items: &[Value]) -> Vec<String> {
    items.iter().map(|item| item["sku"].as_str().unwrap().to_owned()).collect()
}

/// Creates products with many equal sort keys, and returns the expected items.
async fn create_products(shop: &Shop) -> Vec<Value> {
    let brands = [None, Some("Nordviken"), Some("STIG")];
    let names = ["Stool", "stool", "Stuhl", "Åbo", "Zet_100%", "a", "Stool 2"];
    let items: Vec<Value> = (0..90_usize)
        .map(|number| {
            let mut item = samples::plain(&format!("W-{number:03}"));
            item["name"] = json!(names[number % names.len()]);
            item["price"]["amount"] = json!(["0", "5", "9.99", "10", "10.00", "250.50"][number % 6]);
            if let Some(brand) = brands[number % 3] {
                item["brand"] = json!(brand);
            }
            item["categories"] = json!((0..number % 4).map(|c| ["chairs", "bar", "sale"][c]).collect::<Vec<_>>());
            if !number.is_multiple_of(5) {
                item["released_on"] = json!(format!("20{:02}-06-15", 10 + number % 10));
            }
            if number.is_multiple_of(4) {
                item["quantity"] = json!(number % 3);
            }
            item
        })
        .collect();
    let result = shop.ada.post("/v1/products/bulk", &json!({"items": items})).await.expect(200).json();
    assert_eq!(result["created"], 90, "{result}");
    items
}

/// Folds the names used above.
fn folded(text: &str) -> String {
    text.to_lowercase().replace('å', "a")
}

#[derive(Debug, Clone, Default)]
struct Filters(BTreeMap<&'static str, String>);

impl Filters {
    fn matches(&self, item: &Value) -> bool {
        let cents = |text: &str| {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            whole.parse::<i64>().unwrap() * 100 + format!("{fraction:0<2}").parse::<i64>().unwrap()
        };
        let text = |field: &str| item[field].as_str();
        let price = cents(item["price"]["amount"].as_str().unwrap());
        let sold_out = item["quantity"] == 0;
        let available = match self.0.get("in_stock").map(String::as_str) {
            None | Some("true") => !sold_out,
            Some("false") => sold_out,
            Some(_) => true,
        };
        available
            && self.0.iter().all(|(&name, value)| match name {
                "contains" => folded(text("name").unwrap()).contains(&folded(value)),
                "brand" => text("brand") == Some(value),
                "category" => item["categories"].as_array().unwrap().iter().any(|category| category == value.as_str()),
                "price_min" => price >= cents(value),
                "price_max" => price <= cents(value),
                "before" => text("released_on").is_some_and(|day| day < value.as_str()),
                "after" => text("released_on").is_some_and(|day| day > value.as_str()),
                _ => true,
            })
    }

    fn query(&self) -> String {
        let escaped = |value: &str| value.replace('%', "%25").replace(' ', "%20").replace('Å', "%C3%85");
        self.0.iter().map(|(name, value)| format!("&{name}={}", escaped(value))).collect()
    }
}

fn filters() -> impl Strategy<Value = Filters> {
    let one = |name: &'static str, values: &'static [&'static str]| {
        prop::option::weighted(0.25, prop::sample::select(values)).prop_map(move |value| value.map(|value| (name, value.to_owned())))
    };
    vec![
        one("contains", &["stool", "STOOL", "tuh", "100%", "_10", "Åbo", "abo", "l 2", "nothing"]),
        one("brand", &["Nordviken", "STIG", "stig"]),
        one("category", &["chairs", "bar", "sale", "none"]),
        one("price_min", &["0", "5", "9.99", "10.01", "251"]),
        one("price_max", &["0", "5", "9.99", "250.50", "1000000"]),
        one("before", &["2010-06-15", "2014-06-15", "2015-01-01", "1990-01-01"]),
        one("after", &["2010-06-14", "2012-06-15", "2018-12-31", "2030-01-01"]),
        one("in_stock", &["any", "true", "false"]),
    ]
    .prop_map(|pairs| Filters(pairs.into_iter().flatten().collect()))
}

const SORTS: [&str; 8] = ["created_at", "-created_at", "name", "-name", "price", "-price", "views", "-views"];

fn check_order(items: &[Value], sort: &str) {
    let (field, descending) = sort.strip_prefix('-').map_or((sort, false), |field| (field, true));
    let key = |item: &Value| match field {
        "price" => {
            let amount: f64 = item["price"]["amount"].as_str().unwrap().parse().unwrap();
            format!("{amount:020.4}")
        }
        "views" => format!("{:020}", item["views"].as_u64().unwrap()),
        // Pads the fraction, so that the order of the texts is that of the times.
        "created_at" => item["created_at"].as_str().unwrap().trim_end_matches('Z').to_owned(),
        field => item[field].as_str().unwrap().to_owned(),
    };
    for pair in items.windows(2) {
        let (left, right) = (key(&pair[0]), key(&pair[1]));
        let ordered = if descending { left >= right } else { left <= right };
        assert!(ordered, "sort={sort}: {left} before {right}");
    }
}

#[tokio::test]
async fn all_pages_contain_every_match_exactly_once_in_order() {
    let shop = Shop::api().await;
    let items = create_products(&shop).await;
    let mut runner = TestRunner::default();
    let strategy = (filters(), prop::sample::select(&SORTS[..]), 1..=60_usize);
    for case in 0..60 {
        let (mut filters, mut sort, limit) = strategy.new_tree(&mut runner).unwrap().current();
        if let Some(&each) = SORTS.get(case) {
            // Every sort order, without filters.
            (filters, sort) = (Filters([("in_stock", "any".to_owned())].into()), each);
        }
        let query = format!("sort={sort}&limit={limit}{}", filters.query());
        let found = read_all_pages(&shop.anyone, &query).await;
        check_order(&found, sort);
        let mut found = skus(&found);
        found.sort_unstable();
        let expected: Vec<_> = skus(&items.iter().filter(|item| filters.matches(item)).cloned().collect::<Vec<_>>());
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test]
async fn a_descending_list_is_the_reverse_of_an_ascending_one() {
    let shop = Shop::api().await;
    create_products(&shop).await;
    for sort in ["created_at", "name", "price", "views"] {
        let mut forwards = skus(&read_all_pages(&shop.anyone, &format!("sort={sort}&limit=7&in_stock=any")).await);
        let backwards = skus(&read_all_pages(&shop.anyone, &format!("sort=-{sort}&limit=11&in_stock=any")).await);
        forwards.reverse();
        assert_eq!(forwards, backwards, "{sort}");
    }
}

#[tokio::test]
async fn concurrent_creates_and_deletes_do_not_affect_other_products_of_the_pages() {
    let shop = Shop::api().await;
    create_products(&shop).await;
    for sort in ["name", "-price", "created_at"] {
        let before = skus(&read_all_pages(&shop.anyone, &format!("sort={sort}&limit=200&in_stock=any")).await);
        let mut found = Vec::new();
        let mut cursor = String::new();
        for round in 0.. {
            let page = shop.anyone.get(&format!("/v1/products?sort={sort}&limit=9&in_stock=any{cursor}")).await.expect(200).json();
            found.extend(skus(page["items"].as_array().unwrap()));
            // Creates and deletes products around the current position, but changes no sort key of the other products.
            let mut body = samples::plain(&format!("X-{}-{round}", sort.trim_start_matches('-')));
            body["name"] = json!(["A", "Stool", "~"][round % 3]);
            let temporary = create(&shop.ada, &body).await;
            if round % 2 == 0 {
                shop.ada.delete(&format!("{}?purge=true", temporary.path)).await.expect(204);
            }
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        found.retain(|sku| before.contains(sku));
        assert_eq!(found, before, "{sort}");
    }
}

#[tokio::test]
async fn the_most_viewed_come_first_once_their_views_are_counted() {
    let shop = Shop::builder().roles(&[catalog_tests::Role::Serve, catalog_tests::Role::Tracker]).start().await;
    let products = samples::create_many(&shop.ada, "V", 5).await;
    for (number, product) in products.iter().enumerate() {
        for _ in 0..number * 2 {
            shop.anyone.get(&product.path).await.expect(200);
        }
    }
    let ordered = eventually("the order by views follows the counts", async || {
        let items = read_all_pages(&shop.ada, "sort=-views&limit=2").await;
        let views: Vec<_> = items.iter().map(|item| item["views"].as_u64().unwrap()).collect();
        check(views == [8, 6, 4, 2, 0], || views).map(|()| items)
    })
    .await;
    assert_eq!(skus(&ordered), ["V-00004", "V-00003", "V-00002", "V-00001", "V-00000"]);
    let least = read_all_pages(&shop.ada, "sort=views&limit=2").await;
    assert_eq!(skus(&least), ["V-00000", "V-00001", "V-00002", "V-00003", "V-00004"]);
}
