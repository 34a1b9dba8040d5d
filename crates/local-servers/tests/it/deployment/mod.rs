//! What describes the system to containers and to Kubernetes says what the map says. Read as text: nothing is run.

mod compose;
mod dockerfile;
mod kubernetes;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use local_servers::topology::{Role, SERVICES, Service};
use serde_json::Value;

const GRPC_PORT: u16 = 50051;

/// One process's environment: a value, or in brackets where it comes from.
type Environment = BTreeMap<String, String>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A file's YAML documents; a key that stands twice is refused.
fn documents(path: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn document(path: &str) -> Value {
    let [document] = <[Value; 1]>::try_from(documents(path)).unwrap();
    document
}

/// The elements of a list; none where there is no list.
fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("`{value}` is no string"))
}

fn names(value: &Value) -> BTreeSet<&str> {
    let object = value.as_object().into_iter().flatten();
    object.map(|(name, _)| name.as_str()).collect()
}

fn migration(service: &Service) -> String {
    format!("{}-migrate", service.name)
}

/// The keys that the map decides for a service, with the value where it decides that, too.
fn wiring(service: &Service) -> BTreeMap<String, Option<String>> {
    let mut keys = BTreeMap::new();
    let mut put = |key: &str, value: Option<String>| keys.insert(key.to_owned(), value);
    let everywhere = |port: u16| Some(format!("0.0.0.0:{port}"));
    if service.grpc {
        put("GRPC_ADDR", everywhere(GRPC_PORT));
    }
    for (told, key) in [
        (service.database, "DATABASE_URL"),
        (service.redis, "REDIS_URL"),
        (service.amqp, "AMQP_URL"),
        (service.seeds, "SEED_DEMO"),
    ] {
        if told {
            put(key, None);
        }
    }
    for keys in service.token_keys {
        put(keys.variable(), None);
    }
    for called in service.calls {
        let key = format!("{}_URL", called.to_uppercase());
        put(&key, Some(format!("http://{called}:{GRPC_PORT}")));
    }
    match service.role {
        Role::Plain => {}
        Role::Edge => {
            put("HTTP_ADDR", everywhere(8080));
        }
        Role::Payer => {
            put("PROVIDER_URL", None);
            put("PROVIDER_SECRET_KEY", None);
        }
        Role::Provider => {
            put("SIMULATOR_ADDR", everywhere(9090));
            put("SIMULATOR_SECRET_KEY", None);
            put("SIMULATOR_JOURNAL", None);
            put("SIMULATOR_WEBHOOK_URL", None);
        }
    }
    if service.role != Role::Provider {
        put("ADMIN_ADDR", everywhere(9100));
    }
    keys
}

/// What is wrong with a service's environment: what the map says and it does not, what it says and the map does not,
/// what the program does not know.
fn mistakes(service: &Service, environment: &Environment) -> Vec<String> {
    let wiring = wiring(service);
    let decided_for_any: BTreeSet<String> = SERVICES
        .iter()
        .flat_map(|any| self::wiring(any).into_keys())
        .collect();
    let known = documented(service.name);
    let mut mistakes = Vec::new();
    let mut say = |key: &str, what: &str| mistakes.push(format!("{}: {key} {what}", service.name));
    for (key, expected) in &wiring {
        match (environment.get(key), expected) {
            (None, _) => say(key, "is missing"),
            (Some(value), Some(expected)) if value != expected => {
                say(key, &format!("is {value}, not {expected}"));
            }
            (Some(_), _) => {}
        }
    }
    for key in environment.keys() {
        if decided_for_any.contains(key) && !wiring.contains_key(key) {
            say(key, "belongs to another service");
        }
        if !known.contains_key(key.as_str()) {
            say(key, "is not known to the program");
        }
    }
    for (key, required) in &known {
        if *required && !environment.contains_key(key) {
            say(key, "is required by the program");
        }
    }
    mistakes
}

/// The keys that a program says it reads, and whether it requires them; from the page that is written from what the
/// programs print.
fn documented(service: &str) -> BTreeMap<String, bool> {
    let page = text("docs/configuration.md");
    let section = page
        .split("\n## ")
        .find_map(|section| section.strip_prefix(&format!("{service}\n")))
        .unwrap_or_else(|| panic!("docs/configuration.md does not describe {service}"));
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let key = cells.next()?.trim_end_matches('`').to_owned();
        Some((key, cells.next()? == "required"))
    };
    // The stand-in for the provider prints flags.
    let flag = |line: &str| {
        let (_, key) = line.split_once("[env: ")?;
        let key = key.split(['=', ']']).next()?;
        Some((key.to_owned(), false))
    };
    section
        .lines()
        .filter_map(|line| row(line).or_else(|| flag(line)))
        .collect()
}

#[test]
fn a_service_that_is_told_too_little_too_much_or_something_else_is_found_out() {
    let booking = SERVICES.iter().find(|service| service.name == "booking").unwrap();
    let mut environment: Environment = wiring(booking)
        .into_iter()
        .map(|(key, value)| (key, value.unwrap_or_else(|| "x".to_owned())))
        .collect();
    assert_eq!(mistakes(booking, &environment), [""; 0]);

    environment.remove("AMQP_URL");
    environment.insert("QUEUE_URL".to_owned(), "http://concert:50051".to_owned());
    environment.insert("CONCERT_URL".to_owned(), "http://concert:50051".to_owned());
    environment.insert("HOLD_MINUTES".to_owned(), "5".to_owned());
    assert_eq!(
        mistakes(booking, &environment),
        [
            "booking: AMQP_URL is missing",
            "booking: QUEUE_URL is http://concert:50051, not http://queue:50051",
            "booking: CONCERT_URL belongs to another service",
            "booking: CONCERT_URL is not known to the program",
            "booking: HOLD_MINUTES is not known to the program",
            "booking: AMQP_URL is required by the program",
        ]
    );
}
