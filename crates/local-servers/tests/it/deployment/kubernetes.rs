use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use local_servers::topology::{GATEWAY, Role, SERVICES};
use serde_json::{Value, json};
use url::Url;

use super::{Environment, GRPC_PORT, document, documents, list, migration, mistakes, root, string, wiring};

/// Everything that is declared in the base and in the components, patches apart.
fn manifests() -> Vec<Value> {
    let mut manifests = Vec::new();
    for folder in ["k8s/base", "k8s/components/simulator", "k8s/components/stores"] {
        let kustomization = document(&format!("{folder}/kustomization.yaml"));
        let resources: BTreeSet<_> = list(&kustomization["resources"]).map(string).collect();
        let patches = list(&kustomization["patches"]).map(|patch| string(&patch["path"]));
        let patches: BTreeSet<_> = patches.collect();
        for file in fs::read_dir(root().join(folder)).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            if resources.contains(name.as_str()) {
                manifests.extend(documents(&format!("{folder}/{name}")));
            } else {
                let named = name == "kustomization.yaml" || patches.contains(name.as_str());
                assert!(named, "{folder}/{name} is in no kustomization");
            }
        }
    }
    manifests
}

fn of_kind<'a>(manifests: &'a [Value], kind: &str) -> BTreeMap<&'a str, &'a Value> {
    let of_kind = manifests.iter().filter(|manifest| manifest["kind"] == kind);
    of_kind
        .map(|manifest| (string(&manifest["metadata"]["name"]), manifest))
        .collect()
}

/// The one container of a workload.
fn container(workload: &Value) -> &Value {
    let containers: Vec<_> = list(&workload["spec"]["template"]["spec"]["containers"]).collect();
    assert_eq!(containers.len(), 1, "{}", workload["metadata"]["name"]);
    containers[0]
}

/// Where a value comes from stands for it: `[secret redis url]`.
fn environment(container: &Value) -> Environment {
    assert!(container["envFrom"].is_null(), "every key is named");
    list(&container["env"])
        .map(|variable| {
            let value = match variable["value"].as_str() {
                Some(value) => value.to_owned(),
                None => {
                    let (source, word) = match &variable["valueFrom"] {
                        from if from["secretKeyRef"].is_object() => (&from["secretKeyRef"], "secret"),
                        from => (&from["configMapKeyRef"], "setting"),
                    };
                    format!("[{word} {} {}]", string(&source["name"]), string(&source["key"]))
                }
            };
            (string(&variable["name"]).to_owned(), value)
        })
        .collect()
}

#[test]
fn every_service_has_a_deployment_that_is_told_what_the_map_says() {
    let manifests = manifests();
    let deployments = of_kind(&manifests, "Deployment");
    let overlay = document("k8s/overlays/dev/kustomization.yaml");
    let seeding = &overlay["patches"][0];
    assert_eq!(seeding["path"], "seed-demo.yaml");
    let seeded = string(&seeding["target"]["name"])
        .trim_matches(['(', ')'])
        .split('|');
    let seeded: BTreeSet<_> = seeded.collect();
    let seed = environment(container(&document("k8s/overlays/dev/seed-demo.yaml")));
    assert_eq!(seed.keys().collect::<Vec<_>>(), ["SEED_DEMO"]);

    let mut wrong = Vec::new();
    for service in &SERVICES {
        let name = service.name;
        let container = container(deployments[name]);
        let mut environment = environment(container);
        assert!(
            !environment.contains_key("SEED_DEMO"),
            "{name} makes a demonstration everywhere"
        );
        if seeded.contains(name) {
            environment.extend(seed.clone());
        }
        wrong.extend(mistakes(service, &environment));
        assert_eq!(container["image"], format!("frontrow/{name}"));

        let secrets = [
            "DATABASE_URL",
            "REDIS_URL",
            "AMQP_URL",
            "QUEUE_TOKEN_KEYS",
            "PAYMENT_TOKEN_KEYS",
            "PROVIDER_SECRET_KEY",
            "SIMULATOR_SECRET_KEY",
        ];
        for (key, value) in &environment {
            let hidden = value.starts_with("[secret ");
            assert_eq!(
                hidden,
                secrets.contains(&key.as_str()),
                "{name}: {key} is {value}"
            );
        }
        if service.database {
            assert_eq!(
                environment["DATABASE_URL"],
                format!("[secret {name}-database url]")
            );
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn who_serves_grpc_is_asked_by_grpc_whether_it_is_ready_and_the_others_by_http() {
    let manifests = manifests();
    let deployments = of_kind(&manifests, "Deployment");
    let services = of_kind(&manifests, "Service");
    for service in &SERVICES {
        let container = container(deployments[service.name]);
        let probe = &container["readinessProbe"];
        let port = match service.role {
            _ if service.grpc => {
                assert_eq!(probe["grpc"], json!({ "port": GRPC_PORT }), "{}", service.name);
                Some(GRPC_PORT)
            }
            Role::Provider => {
                assert_eq!(probe["httpGet"], json!({ "path": "/healthz", "port": "http" }));
                Some(9090)
            }
            role => {
                assert_eq!(
                    probe["httpGet"],
                    json!({ "path": "/readyz", "port": "admin" }),
                    "{}",
                    service.name
                );
                (role == Role::Edge).then_some(80)
            }
        };
        // Who is called has a name by which it is called.
        let offered = services.get(service.name).map(|offered| {
            assert_eq!(
                offered["spec"]["selector"],
                deployments[service.name]["spec"]["selector"]["matchLabels"]
            );
            offered["spec"]["ports"][0]["port"].as_u64().unwrap()
        });
        assert_eq!(offered, port.map(u64::from), "{}", service.name);
    }
}

#[test]
fn every_database_has_a_migration_and_every_service_a_disruption_budget() {
    let manifests = manifests();
    let jobs = of_kind(&manifests, "Job");
    let budgets = of_kind(&manifests, "PodDisruptionBudget");
    let mut expected = BTreeSet::new();
    for service in &SERVICES {
        if service.database {
            let name = migration(service);
            let container = container(jobs[name.as_str()]);
            assert_eq!(container["image"], format!("frontrow/{}", service.name));
            assert_eq!(container["args"], json!(["migrate"]));
            let own = format!("[secret {}-database url]", service.name);
            assert_eq!(
                environment(container),
                Environment::from([("DATABASE_URL".to_owned(), own)])
            );
            expected.insert(name);
        }
        if service.role != Role::Provider {
            let selector = &budgets[service.name]["spec"]["selector"]["matchLabels"];
            assert_eq!(*selector, json!({ "app.kubernetes.io/name": service.name }));
        }
    }
    assert_eq!(
        jobs.into_keys().map(str::to_owned).collect::<BTreeSet<_>>(),
        expected
    );
}

/// From, to, port. Names are those of workloads, or `anybody`, or `kube-dns`.
type Arrow = (String, String, u64);

/// Who is selected, by the labels that pods really have.
fn selected<'a>(selector: &Value, pods: &'a BTreeMap<String, Value>) -> Vec<&'a str> {
    let fits = |labels: &Value| {
        let same = selector["matchLabels"].as_object().into_iter().flatten();
        let mut same = same.map(|(key, value)| labels[key] == *value);
        let mut among = list(&selector["matchExpressions"]).map(|expression| {
            assert_eq!(expression["operator"], "In");
            list(&expression["values"]).any(|value| labels[string(&expression["key"])] == *value)
        });
        same.all(|fits| fits) && among.all(|fits| fits)
    };
    let selected = pods.iter().filter(|(_, labels)| fits(labels));
    selected.map(|(name, _)| name.as_str()).collect()
}

/// The arrows that policies open in one direction.
fn arrows(
    manifests: &[Value],
    direction: &str,
    peers: &str,
    pods: &BTreeMap<String, Value>,
) -> BTreeSet<Arrow> {
    let mut arrows = BTreeSet::new();
    for (name, policy) in of_kind(manifests, "NetworkPolicy") {
        let spec = &policy["spec"];
        let here = selected(&spec["podSelector"], pods);
        assert!(!here.is_empty(), "{name} is about no pod");
        let stated = list(&spec["policyTypes"]).any(|stated| string(stated).to_lowercase() == direction);
        assert!(
            stated || spec[direction].is_null(),
            "{name} does not enforce its {direction}"
        );
        for rule in list(&spec[direction]) {
            let mut there = BTreeSet::new();
            for peer in list(&rule[peers]) {
                assert!(peer["ipBlock"].is_null(), "{name}");
                if peer["namespaceSelector"].is_null() {
                    let found = selected(&peer["podSelector"], pods);
                    assert!(!found.is_empty(), "{name} names no pod by {peer}");
                    there.extend(found);
                } else {
                    assert_eq!(
                        peer["podSelector"],
                        json!({ "matchLabels": { "k8s-app": "kube-dns" } })
                    );
                    there.insert("kube-dns");
                }
            }
            if rule[peers].is_null() {
                there.insert("anybody");
            }
            assert!(rule["ports"].is_array(), "{name} opens every port");
            for port in list(&rule["ports"]) {
                let port = port["port"].as_u64().unwrap();
                for (here, there) in here
                    .iter()
                    .flat_map(|here| there.iter().map(move |there| (*here, *there)))
                {
                    let (from, to) = if direction == "egress" {
                        (here, there)
                    } else {
                        (there, here)
                    };
                    arrows.insert((from.to_owned(), to.to_owned(), port));
                }
            }
        }
    }
    arrows
}

/// The arrows of the map, the stores among them.
fn map() -> BTreeSet<Arrow> {
    let mut map = BTreeSet::new();
    let mut draw =
        |from: &str, to: &str, port: u16| map.insert((from.to_owned(), to.to_owned(), u64::from(port)));
    for service in &SERVICES {
        for called in service.calls {
            draw(service.name, called, GRPC_PORT);
        }
        if service.database {
            draw(service.name, "postgres", 5432);
            draw(&migration(service), "postgres", 5432);
        }
        if service.redis {
            draw(service.name, "redis", 6379);
        }
        if service.amqp {
            draw(service.name, "rabbitmq", 5672);
        }
        if service.role == Role::Payer {
            draw(service.name, "psp-simulator", 9090);
        }
    }
    map
}

fn pods(manifests: &[Value]) -> BTreeMap<String, Value> {
    let workloads = ["Deployment", "StatefulSet", "Job"];
    let pods = workloads.iter().flat_map(|kind| of_kind(manifests, kind));
    pods.map(|(name, workload)| {
        let labels = workload["spec"]["template"]["metadata"]["labels"].clone();
        assert_eq!(labels["app.kubernetes.io/name"], name);
        (name.to_owned(), labels)
    })
    .collect()
}

#[test]
fn network_policies_open_the_arrows_of_the_map_and_no_other() {
    let manifests = manifests();
    let pods = pods(&manifests);
    let map = map();

    let mut ingress = map.clone();
    ingress.insert(("anybody".to_owned(), "gateway".to_owned(), 8080));
    assert_eq!(arrows(&manifests, "ingress", "from", &pods), ingress);

    let mut egress = map;
    // Webhooks; whoever is in the world may send the gateway what they like.
    egress.insert(("psp-simulator".to_owned(), GATEWAY.to_owned(), 8080));
    for service in &SERVICES {
        let migration = service.database.then(|| migration(service));
        for pod in [service.name.to_owned()].into_iter().chain(migration) {
            egress.insert((pod, "kube-dns".to_owned(), 53));
        }
    }
    assert_eq!(arrows(&manifests, "egress", "to", &pods), egress);

    // Without this one the others would forbid nothing to a pod that none of them selects.
    let closed = &of_kind(&manifests, "NetworkPolicy")["nothing-else"]["spec"];
    assert_eq!(
        *closed,
        json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] })
    );
}

#[test]
fn an_arrow_that_the_map_does_not_have_is_found_out() {
    let mut manifests = manifests();
    let pods = pods(&manifests);
    let policy = manifests
        .iter_mut()
        .find(|manifest| manifest["kind"] == "NetworkPolicy" && manifest["metadata"]["name"] == "booking")
        .unwrap();
    let concert = json!({ "podSelector": { "matchLabels": { "app.kubernetes.io/name": "concert" } } });
    policy["spec"]["egress"][0]["to"]
        .as_array_mut()
        .unwrap()
        .push(concert);
    let opened = arrows(&manifests, "egress", "to", &pods);
    let forbidden = ("booking".to_owned(), "concert".to_owned(), u64::from(GRPC_PORT));
    assert!(opened.contains(&forbidden) && !map().contains(&forbidden));
}

/// What a generator of the development's secrets or of settings makes: name to key to value.
fn generated(path: &str, generator: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let kustomization = document(path);
    list(&kustomization[generator])
        .map(|made| {
            let pairs = list(&made["literals"]).map(|pair| {
                let (key, value) = string(pair).split_once('=').unwrap();
                (key.to_owned(), value.to_owned())
            });
            (string(&made["name"]).to_owned(), pairs.collect())
        })
        .collect()
}

#[test]
fn every_secret_and_setting_that_is_referred_to_is_made_for_development_and_none_besides() {
    let manifests = manifests();
    let mut referred = BTreeSet::new();
    for kind in ["Deployment", "StatefulSet", "Job"] {
        for workload in of_kind(&manifests, kind).into_values() {
            let values = environment(container(workload)).into_values();
            referred.extend(values.filter(|value| value.starts_with('[')));
        }
    }
    let mut made = BTreeSet::new();
    for (word, path, generator) in [
        (
            "secret",
            "k8s/components/development-secrets/kustomization.yaml",
            "secretGenerator",
        ),
        ("setting", "k8s/base/kustomization.yaml", "configMapGenerator"),
        (
            "setting",
            "k8s/components/simulator/kustomization.yaml",
            "configMapGenerator",
        ),
    ] {
        for (name, pairs) in generated(path, generator) {
            made.extend(pairs.into_keys().map(|key| format!("[{word} {name} {key}]")));
        }
    }
    assert_eq!(referred, made);
}

#[test]
fn the_secrets_of_development_agree_with_each_other() {
    let secrets = generated(
        "k8s/components/development-secrets/kustomization.yaml",
        "secretGenerator",
    );
    let url = |secret: &str| Url::parse(&secrets[secret]["url"]).unwrap();
    for service in SERVICES.iter().filter(|service| service.database) {
        let url = url(&format!("{}-database", service.name));
        let password = &secrets["postgres"][&format!("{}_DATABASE_PASSWORD", service.name.to_uppercase())];
        assert_eq!(url.password(), Some(password.as_str()));
        assert_eq!(
            (url.username(), url.path()),
            (service.name, format!("/{}", service.name).as_str())
        );
    }
    for store in ["redis", "rabbitmq"] {
        assert_eq!(url(store).password(), Some(secrets[store]["password"].as_str()));
        assert_eq!(url(store).host_str(), Some(store));
    }
    for keys in ["queue-token", "payment-token"] {
        let (_, key) = secrets[keys]["keys"].split_once(':').unwrap();
        assert!(URL_SAFE_NO_PAD.decode(key).unwrap().len() >= 32, "{keys}");
    }
    assert!(secrets["payment-provider"]["secret-key"].starts_with("test_"));
}

#[test]
fn the_times_of_a_sale_are_settings_with_the_defaults_that_the_programs_have() {
    let times = &generated("k8s/base/kustomization.yaml", "configMapGenerator")["sale-times"];
    let page = super::text("docs/configuration.md");
    for (key, value) in times {
        let row = format!("| `{key}` | `{value}` |");
        assert!(page.contains(&row), "docs/configuration.md has no `{row}`");
    }
    let decided: BTreeSet<String> = SERVICES
        .iter()
        .flat_map(|service| wiring(service).into_keys())
        .collect();
    assert!(times.keys().all(|key| !decided.contains(key)));
}
