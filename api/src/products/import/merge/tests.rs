use proptest::{collection, option, prelude::*};

use super::*;
use crate::products::{Money, Product};

fn rules() -> Rules {
    Rules { currency: "SAR".parse().unwrap() }
}

fn field_update<T: Clone + std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = FieldUpdate<T>> {
    prop_oneof![Just(FieldUpdate::Absent), Just(FieldUpdate::Null), value.prop_map(FieldUpdate::Value)]
}

prop_compose! {
    fn row()(
        name in "[a-c]", brand in field_update("[a-c]"), description in field_update("[a-c]"),
        categories in field_update(collection::btree_set("[a-e]", 0..4).prop_map(Vec::from_iter)), amount in "[0-9]", url in field_update("/[a-c]"),
        attributes in field_update(collection::btree_map("[a-d]", option::of("[a-c]"), 0..4)), quantity in option::of(0..4_i64),
    ) -> ValidRow {
        let price = Money { amount, currency: "SAR".into() };
        ValidRow { sku: "a".into(), name, brand, description, categories, price, url, released_on: FieldUpdate::Absent, attributes, quantity }
    }
}

fn merged(rows: &[ValidRow]) -> ValidRow {
    let mut merged = rows[0].clone();
    for row in &rows[1..] {
        merged.merge(row.clone(), &rules()).unwrap();
    }
    merged
}

fn product_of(row: &ValidRow, before: Option<&Product>) -> Product {
    let input = row.clone().apply_to(before);
    let time = chrono::DateTime::UNIX_EPOCH;
    Product {
        id: Uuid::nil(),
        sku: input.sku,
        name: input.name,
        brand: input.brand,
        description: input.description,
        categories: input.categories,
        price: input.price,
        url: input.url,
        released_on: input.released_on,
        attributes: input.attributes,
        in_stock: true,
        created_at: time,
        updated_at: time,
        version: 1,
    }
}

proptest! {
    #[test]
    fn merging_the_same_rows_twice_changes_nothing(rows in collection::vec(row(), 1..6)) {
        let twice: Vec<_> = rows.iter().chain(&rows).cloned().collect();
        prop_assert_eq!(merged(&twice), merged(&rows));
    }

    #[test]
    fn importing_the_same_rows_again_changes_nothing(before in option::of(row()), rows in collection::vec(row(), 1..6)) {
        let row = merged(&rows);
        let before = before.map(|row| product_of(&row, None));
        let once = product_of(&row, before.as_ref());
        prop_assert_eq!(product_of(&row, Some(&once)), once);
    }

    #[test]
    fn merged_categories_keep_the_order_of_first_appearance(
        rows in collection::vec(collection::btree_set("[a-z]", 1..4).prop_map(Vec::from_iter), 1..6),
        base in row(),
    ) {
        let mut expected: Vec<String> = Vec::new();
        for category in rows.iter().flatten() {
            if !expected.contains(category) {
                expected.push(category.clone());
            }
        }
        let rows: Vec<_> = rows.into_iter().map(|categories| ValidRow { categories: FieldUpdate::Value(categories), ..base.clone() }).collect();
        prop_assert_eq!(merged(&rows).categories, FieldUpdate::Value(expected));
    }
}

#[test]
fn rows_that_are_invalid_only_together_are_rejected_and_change_nothing() {
    let with = |range: std::ops::Range<u32>| ValidRow {
        sku: "a".into(),
        name: "A".into(),
        brand: FieldUpdate::Absent,
        description: FieldUpdate::Absent,
        categories: FieldUpdate::Value(range.map(|number| format!("c{number}")).collect()),
        price: Money { amount: "1".into(), currency: "SAR".into() },
        url: FieldUpdate::Absent,
        released_on: FieldUpdate::Absent,
        attributes: FieldUpdate::Absent,
        quantity: None,
    };
    let mut row = with(0..40);
    let fault = row.merge(ValidRow { name: "B".into(), ..with(40..60) }, &rules()).unwrap_err();
    assert_eq!(fault.pointer, "/categories");
    assert_eq!(fault.detail, "together with the earlier rows of this sku: must have at most 50 categories");
    assert_eq!(row, with(0..40));
}
