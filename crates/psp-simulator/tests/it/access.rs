//! Who is let in, and what lies beside the provider's API.

use reqwest::{Method, header::AUTHORIZATION};

use crate::simulator::{CONFIRM, SECRET_KEY, Simulator, answer, assert_refused, confirmation};

#[tokio::test]
async fn only_the_secret_key_with_an_empty_password_is_let_in() {
    let simulator = Simulator::start().await;
    let routes = [
        (Method::POST, CONFIRM),
        (Method::POST, "/v1/payments/test_ok_1/cancel"),
        (Method::GET, "/v1/payments/test_ok_1"),
        (Method::GET, "/v1/payments/orders/order-1"),
    ];
    for (method, path) in routes {
        let request = || simulator.anonymous(method.clone(), path);
        let refused = async |request, status, code| assert_refused(&answer(request).await, status, code);

        refused(request(), 401, "UNAUTHORIZED_KEY").await;
        refused(request().bearer_auth(SECRET_KEY), 401, "UNAUTHORIZED_KEY").await;
        refused(
            request().header(AUTHORIZATION, "Basic %"),
            401,
            "UNAUTHORIZED_KEY",
        )
        .await;
        refused(
            request().basic_auth("test_sk_other", Some("")),
            401,
            "UNAUTHORIZED_KEY",
        )
        .await;
        refused(
            request().basic_auth(SECRET_KEY, Some("password")),
            401,
            "UNAUTHORIZED_KEY",
        )
        .await;
        refused(
            request().basic_auth("test_ck_frontrow", Some("")),
            400,
            "INVALID_API_KEY",
        )
        .await;
        refused(
            request().basic_auth("live_sk_frontrow", Some("")),
            400,
            "INVALID_API_KEY",
        )
        .await;
        // base64 of the key without its colon
        let no_colon = request().header(AUTHORIZATION, "Basic dGVzdF9za19mcm9udHJvdw==");
        refused(no_colon, 403, "INCORRECT_BASIC_AUTH_FORMAT").await;
    }
    // base64 of "test_sk_frontrow:", as the provider's documentation has it
    let let_in = simulator
        .anonymous(Method::POST, CONFIRM)
        .header(AUTHORIZATION, "Basic dGVzdF9za19mcm9udHJvdzo=")
        .json(&confirmation("test_ok_1", "order-1", 1_000));
    assert_eq!(answer(let_in).await.0, 200);
}

#[tokio::test]
async fn an_unknown_route_is_refused_in_the_form_of_the_provider() {
    let simulator = Simulator::start().await;
    assert_refused(&simulator.get("/v1/settlements").await, 404, "NOT_FOUND");
}

#[tokio::test]
async fn everyone_may_look_at_health_and_at_all_payments() {
    let simulator = Simulator::start().await;
    let health = simulator.anonymous(Method::GET, "/healthz").send().await.unwrap();
    assert_eq!(health.status(), 200);

    simulator.confirm("test_ok_1", "order-1", 1_000).await;
    simulator.confirm("test_ok_2", "order-2", 500).await;
    simulator.confirm("test_declined_1", "order-3", 700).await;
    simulator.cancel("test_ok_1", Some(300)).await;
    simulator.cancel("test_ok_1", Some(1)).await;

    let (_, books) = answer(simulator.anonymous(Method::GET, "/simulator/payments")).await;
    assert_eq!(
        (&books["capturedAmount"], &books["canceledAmount"]),
        (&1_500.into(), &301.into())
    );
    let payments = books["payments"].as_array().unwrap();
    let order_ids: Vec<_> = payments
        .iter()
        .map(|payment| payment["orderId"].as_str().unwrap())
        .collect();
    assert_eq!(order_ids, ["order-1", "order-2", "order-3"]);
    assert_eq!(payments[0]["cancels"].as_array().unwrap().len(), 2);
}
