use std::collections::{BTreeMap, BTreeSet};

use local_servers::topology::{GATEWAY, Role, SERVICES};
use serde_json::{Value, json};

use super::{Environment, document, list, migration, mistakes, names, string, text};

const STORES: [&str; 3] = ["postgres", "rabbitmq", "redis"];

fn compose() -> Value {
    document("docker-compose.yml")
}

fn environment(container: &Value) -> Environment {
    let object = container["environment"].as_object().into_iter().flatten();
    object
        .map(|(key, value)| (key.clone(), string(value).to_owned()))
        .collect()
}

#[test]
fn the_containers_are_the_services_their_migrations_and_the_three_stores() {
    let mut expected: BTreeSet<String> = STORES.map(str::to_owned).into();
    for service in &SERVICES {
        expected.insert(service.name.to_owned());
        expected.extend(service.database.then(|| migration(service)));
    }
    let compose = compose();
    assert_eq!(
        names(&compose["services"]),
        expected.iter().map(String::as_str).collect()
    );
}

#[test]
fn every_container_is_told_what_the_map_says_and_nothing_that_its_program_does_not_know() {
    let compose = compose();
    let mut wrong = Vec::new();
    for service in &SERVICES {
        let name = service.name;
        let container = &compose["services"][name];
        let environment = environment(container);
        wrong.extend(mistakes(service, &environment));
        assert_eq!(container["build"]["target"], name);

        if service.database {
            let secret = format!("${{{}_DATABASE_PASSWORD:?}}", name.to_uppercase());
            let own = format!("postgres://{name}:{secret}@postgres:5432/{name}");
            assert_eq!(environment["DATABASE_URL"], own);
            let migration = &compose["services"][migration(service)];
            assert_eq!(migration["environment"], json!({ "DATABASE_URL": own }));
            assert_eq!(migration["command"], json!(["migrate"]));
            assert_eq!(migration["image"], container["image"]);
            let postgres = &compose["services"]["postgres"]["environment"];
            assert_eq!(
                postgres[format!("{}_DATABASE_PASSWORD", name.to_uppercase())],
                secret
            );
        }
        if service.role == Role::Payer {
            assert_eq!(environment["PROVIDER_URL"], "http://psp-simulator:9090");
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn a_container_starts_after_the_health_of_all_that_it_calls() {
    let compose = compose();
    let mut expected: BTreeMap<String, Value> = BTreeMap::new();
    for service in &SERVICES {
        let mut after = BTreeMap::new();
        let mut healthy =
            |name: &str| after.insert(name.to_owned(), json!({ "condition": "service_healthy" }));
        service.calls.iter().for_each(|called| {
            healthy(called);
        });
        for (used, store) in [
            (service.database, "postgres"),
            (service.redis, "redis"),
            (service.amqp, "rabbitmq"),
            (service.role == Role::Payer, "psp-simulator"),
        ] {
            if used {
                healthy(store);
            }
        }
        if service.database {
            let migration = migration(service);
            after.insert(
                migration.clone(),
                json!({ "condition": "service_completed_successfully" }),
            );
            expected.insert(
                migration,
                json!({ "postgres": { "condition": "service_healthy" } }),
            );
        }
        if !after.is_empty() {
            expected.insert(service.name.to_owned(), json!(after));
        }
    }
    let containers = compose["services"].as_object().unwrap();
    let actual: BTreeMap<String, Value> = containers
        .iter()
        .filter_map(|(name, container)| Some((name.clone(), container.get("depends_on")?.clone())))
        .collect();
    assert_eq!(actual, expected);
    // What is waited for must be able to say that it is healthy.
    for store in STORES {
        assert!(containers[store]["healthcheck"]["test"].is_array(), "{store}");
    }
}

#[test]
fn only_the_gateway_is_reachable_and_every_container_is_confined() {
    let compose = compose();
    for (name, container) in compose["services"].as_object().unwrap() {
        assert_eq!(container["read_only"], true, "{name}");
        assert_eq!(container["cap_drop"], json!(["ALL"]), "{name}");
        assert_eq!(
            container["security_opt"],
            json!(["no-new-privileges:true"]),
            "{name}"
        );
        assert!(container["privileged"].is_null(), "{name}");
        let limits = &container["deploy"]["resources"]["limits"];
        assert_eq!(
            names(limits),
            BTreeSet::from(["cpus", "memory", "pids"]),
            "{name}"
        );
        let ports: Vec<_> = list(&container["ports"]).map(string).collect();
        let networks: Vec<_> = list(&container["networks"]).map(string).collect();
        if name == GATEWAY {
            assert_eq!(ports, ["127.0.0.1:${FRONTROW_HTTP_PORT:-8080}:8080"]);
            assert_eq!(networks, ["inside", "outside"]);
        } else {
            assert_eq!(ports, [""; 0], "{name}");
            assert_eq!(networks, ["inside"], "{name}");
        }
        // The programs' images say who runs; those of the stores would begin as root.
        assert_eq!(
            container["user"].is_string(),
            STORES.contains(&name.as_str()),
            "{name}"
        );
    }
    assert_eq!(compose["networks"]["inside"]["internal"], true);
}

#[test]
fn every_variable_has_an_example_and_every_example_is_used() {
    let compose = text("docker-compose.yml");
    let used: BTreeSet<_> = compose
        .split("${")
        .skip(1)
        .filter_map(|rest| rest.split([':', '}']).next())
        .collect();
    let example = text("deploy/example.env");
    let given: BTreeSet<_> = example
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    assert_eq!(used, given);
}
