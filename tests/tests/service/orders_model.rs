//! Model test of carts, orders and stock: random actions of customers and admins have the results of a simple model.

use std::collections::BTreeMap;

use catalog_tests::{
    Api, Reply, Shop,
    buying::{StockAudit, available, cart, last_segment, order, place, put, stocked},
    customer_sessions, eventually,
    samples::Created,
    wait::check,
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::json;

const PRODUCTS: usize = 3;
const CARTS: usize = 2;

#[derive(Debug, Clone)]
enum Action {
    Put { cart: usize, product: usize, quantity: i64 },
    Remove { cart: usize, product: usize },
    DeleteCart { cart: usize },
    Expire { cart: usize },
    OrderCart { cart: usize },
    Order { lines: BTreeMap<usize, i64> },
    Cancel { order: usize },
    Count { product: usize, quantity: i64 },
    Adjust { product: usize, delta: i64 },
}

fn action() -> impl Strategy<Value = Action> {
    let (cart, product) = (0..CARTS, 0..PRODUCTS);
    prop_oneof![
        6 => (cart.clone(), product.clone(), 1..6_i64).prop_map(|(cart, product, quantity)| Action::Put { cart, product, quantity }),
        2 => (cart.clone(), product.clone()).prop_map(|(cart, product)| Action::Remove { cart, product }),
        1 => cart.clone().prop_map(|cart| Action::DeleteCart { cart }),
        1 => cart.clone().prop_map(|cart| Action::Expire { cart }),
        2 => cart.prop_map(|cart| Action::OrderCart { cart }),
        4 => proptest::collection::btree_map(product.clone(), 1..6_i64, 1..=PRODUCTS).prop_map(|lines| Action::Order { lines }),
        3 => (0..8_usize).prop_map(|order| Action::Cancel { order }),
        1 => (product.clone(), 0..12_i64).prop_map(|(product, quantity)| Action::Count { product, quantity }),
        2 => (product, prop_oneof![-6..0_i64, 1..6_i64]).prop_map(|(product, delta)| Action::Adjust { product, delta }),
    ]
}

/// The model.
#[derive(Debug, Clone, Default)]
struct Model {
    on_hand: [i64; PRODUCTS],
    carts: [BTreeMap<usize, i64>; CARTS],
    orders: Vec<Option<BTreeMap<usize, i64>>>,
    sold: [i64; PRODUCTS],
}

impl Model {
    fn reserved(&self, product: usize) -> i64 {
        self.carts.iter().filter_map(|cart| cart.get(&product)).sum()
    }

    fn left(&self, product: usize) -> i64 {
        self.on_hand[product] - self.reserved(product)
    }

    fn sell(&mut self, lines: BTreeMap<usize, i64>) {
        for (product, quantity) in &lines {
            self.on_hand[*product] -= quantity;
            self.sold[*product] += quantity;
        }
        self.orders.push(Some(lines));
    }

    /// Applies an action to the model and returns the expected status.
    fn apply(&mut self, action: &Action) -> u16 {
        match action {
            Action::Put { cart, product, quantity } => {
                let in_cart = self.carts[*cart].get(product).copied().unwrap_or(0);
                if self.left(*product) + in_cart < *quantity {
                    return 409;
                }
                self.carts[*cart].insert(*product, *quantity);
                200
            }
            Action::Remove { cart, product } => {
                self.carts[*cart].remove(product);
                204
            }
            Action::DeleteCart { cart } | Action::Expire { cart } => {
                self.carts[*cart].clear();
                204
            }
            Action::OrderCart { cart } => {
                let lines = std::mem::take(&mut self.carts[*cart]);
                if lines.is_empty() {
                    return 409;
                }
                self.sell(lines);
                201
            }
            Action::Order { lines } => {
                if lines.iter().any(|(product, quantity)| self.left(*product) < *quantity) {
                    return 409;
                }
                self.sell(lines.clone());
                201
            }
            Action::Cancel { order } => {
                let Some(placed) = self.orders.get_mut(*order) else { return 404 };
                for (product, quantity) in placed.take().unwrap_or_default() {
                    self.on_hand[product] += quantity;
                    self.sold[product] -= quantity;
                }
                200
            }
            Action::Count { product, quantity } => {
                self.on_hand[*product] = self.reserved(*product) + quantity;
                200
            }
            Action::Adjust { product, delta } => {
                if self.left(*product) + delta < 0 {
                    return 409;
                }
                self.on_hand[*product] += delta;
                200
            }
        }
    }
}

/// The real shop.
struct Real<'a> {
    shop: &'a Shop,
    // New customers for every case, because carts of a failed case would count.
    customer: Api,
    products: Vec<Created>,
    carts: Vec<String>,
    orders: Vec<String>,
}

impl<'a> Real<'a> {
    async fn create(shop: &'a Shop, stock: [i64; PRODUCTS]) -> Self {
        let mut products = Vec::new();
        for quantity in stock {
            products.push(stocked(&shop.ada, &uuid::Uuid::now_v7().to_string(), quantity).await);
        }
        let customer = customer_sessions::customers(shop, 1).await.remove(0);
        let mut carts = Vec::new();
        for _ in 0..CARTS {
            carts.push(cart(&customer).await);
        }
        Self { shop, customer, products, carts, orders: Vec::new() }
    }

    async fn apply(&mut self, action: &Action) -> u16 {
        let customer = self.customer.clone();
        let customer = &customer;
        match action {
            Action::Put { cart, product, quantity } => put(customer, &self.carts[*cart], &self.products[*product], *quantity).await.status,
            Action::Remove { cart, product } => {
                customer.delete(&format!("{}/items/{}", self.carts[*cart], self.products[*product].id)).await.status
            }
            Action::DeleteCart { cart: number } => {
                let status = customer.delete(&self.carts[*number]).await.status;
                self.carts[*number] = cart(customer).await;
                status
            }
            Action::Expire { cart: number } => {
                self.expire(*number).await;
                self.carts[*number] = cart(customer).await;
                204
            }
            Action::OrderCart { cart: number } => {
                let reply = place(customer, &json!({"cart_id": last_segment(&self.carts[*number])})).await;
                if reply.status == 201 {
                    self.carts[*number] = cart(customer).await;
                }
                self.placed(&reply)
            }
            Action::Order { lines } => {
                let lines: Vec<_> = lines.iter().map(|(product, quantity)| (&self.products[*product], *quantity)).collect();
                let reply = order(customer, &lines).await;
                self.placed(&reply)
            }
            Action::Cancel { order } => {
                let unknown = "/v1/orders/019aa3f0-0000-7000-8000-000000000000".to_owned();
                customer.post_empty(&format!("{}/cancel", self.orders.get(*order).unwrap_or(&unknown))).await.status
            }
            Action::Count { product, quantity } => self.adjust(*product, &json!({"quantity": quantity, "reason": "counted"})).await,
            Action::Adjust { product, delta } => self.adjust(*product, &json!({"delta": delta, "reason": "moved"})).await,
        }
    }

    fn placed(&mut self, reply: &Reply) -> u16 {
        if reply.status == 201 {
            self.orders.push(format!("/v1/orders/{}", reply.json()["id"].as_str().unwrap()));
        }
        reply.status
    }

    async fn adjust(&self, product: usize, body: &serde_json::Value) -> u16 {
        self.shop.ada.post(&self.products[product].at("stock-adjustments"), body).await.status
    }

    /// Lets this cart expire.
    async fn expire(&self, cart: usize) {
        let id = last_segment(&self.carts[cart]);
        let aged = sqlx::query("UPDATE orders.carts SET expires_at = now() - interval '1 second' WHERE id = $1::uuid");
        aged.bind(id).execute(&self.shop.database).await.unwrap();
        eventually("the expired cart is deleted", async || {
            let left: i64 = sqlx::query_scalar("SELECT count(*) FROM orders.carts WHERE id = $1::uuid")
                .bind(id)
                .fetch_one(&self.shop.database)
                .await
                .unwrap();
            check(left == 0, || left)
        })
        .await;
    }

    async fn assert_agrees_with(&self, model: &Model) -> Result<(), TestCaseError> {
        for (number, product) in self.products.iter().enumerate() {
            let found = StockAudit::read(&self.shop.database, &product.id).await;
            let reserved = model.reserved(number);
            let expected = StockAudit {
                on_hand: model.on_hand[number],
                reserved,
                in_carts: reserved,
                sold: model.sold[number],
                ledger: model.on_hand[number],
            };
            prop_assert_eq!(found, expected, "product {}", number);
            prop_assert_eq!(available(&self.shop.anyone, product).await, model.left(number));
        }
        Ok(())
    }
}

#[test]
fn random_actions_have_the_results_of_the_model() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let shop = runtime.block_on(Shop::api());
    let strategy = (proptest::array::uniform3(0..10_i64), proptest::collection::vec(action(), 1..40));
    let config = Config { cases: 40, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&strategy, |(stock, deeds)| {
        runtime.block_on(async {
            let mut model = Model { on_hand: stock, ..Model::default() };
            let mut real = Real::create(&shop, stock).await;
            for action in &deeds {
                let (expected, answered) = (model.apply(action), real.apply(action).await);
                prop_assert_eq!(answered, expected, "{:?}", action);
                real.assert_agrees_with(&model).await?;
            }
            Ok(())
        })
    });
    runtime.block_on(async { drop(shop) });
    outcome.unwrap();
}
