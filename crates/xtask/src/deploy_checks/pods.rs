//! What is asked of rendered manifests beyond their schemas: every pod is confined as the namespace's `restricted` level
//! demands and a little more, has time to stop, and what refers to something refers to something that is there.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// Kinds of volumes that the level `restricted` allows and we have a use for.
const VOLUMES: [&str; 4] = ["configMap", "emptyDir", "persistentVolumeClaim", "secret"];

/// A telemetry flush after the drain, and the container's own end.
const MARGIN_SECONDS: u64 = 4;

/// All that is wrong. A `complete` system also has what its pods refer to.
pub(crate) fn faults(manifests: &[Value], complete: bool) -> Vec<String> {
    let mut faults = Vec::new();
    let restricted = json!("restricted");
    let namespaces: Vec<_> = manifests
        .iter()
        .filter(|manifest| manifest["kind"] == "Namespace")
        .collect();
    for namespace in &namespaces {
        if namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] != restricted {
            faults.push("the namespace does not enforce the level `restricted`".to_owned());
        }
    }
    let known: BTreeSet<_> = namespaces
        .iter()
        .filter_map(|namespace| namespace["metadata"]["name"].as_str())
        .collect();

    let pods: Vec<_> = manifests
        .iter()
        .filter(|manifest| manifest["spec"]["template"]["spec"].is_object())
        .collect();
    if pods.is_empty() {
        faults.push("there are no pods".to_owned());
    }
    for manifest in manifests
        .iter()
        .filter(|manifest| manifest["kind"] != "Namespace")
    {
        let name = name(manifest);
        if !manifest["metadata"]["namespace"]
            .as_str()
            .is_some_and(|namespace| known.contains(namespace))
        {
            faults.push(format!("{name} is in none of the namespaces that are made"));
        }
        let selector = match manifest["kind"].as_str() {
            Some("Service") => &manifest["spec"]["selector"],
            Some("PodDisruptionBudget") => &manifest["spec"]["selector"]["matchLabels"],
            _ => continue,
        };
        let selects = |pod: &Value| {
            let labels = &pod["spec"]["template"]["metadata"]["labels"];
            selector
                .as_object()
                .is_some_and(|wanted| wanted.iter().all(|(key, value)| labels[key] == *value))
        };
        if !pods.iter().any(|pod| selects(pod)) {
            faults.push(format!("{name} selects no pod"));
        }
    }
    for workload in pods {
        let pod = &workload["spec"]["template"]["spec"];
        let name = name(workload);
        faults.extend(pod_faults(pod).into_iter().map(|fault| format!("{name} {fault}")));
        if complete {
            let missing = missing_references(pod, manifests);
            faults.extend(missing.into_iter().map(|missing| format!("{name} {missing}")));
        }
    }
    faults
}

fn name(manifest: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    format!(
        "{} {}",
        word(&manifest["kind"]),
        word(&manifest["metadata"]["name"])
    )
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    list(&pod["initContainers"]).chain(list(&pod["containers"]))
}

fn pod_faults(pod: &Value) -> Vec<&'static str> {
    let mut faults = Vec::new();
    let mut demand = |met: bool, fault: &'static str| {
        if !met && !faults.contains(&fault) {
            faults.push(fault);
        }
    };
    let security = &pod["securityContext"];
    demand(security["runAsNonRoot"] == true, "may run as root");
    demand(
        security["runAsUser"].as_u64().is_some_and(|user| user > 0),
        "does not say as whom it runs",
    );
    demand(
        security["seccompProfile"]["type"] == "RuntimeDefault",
        "may make any system call",
    );
    demand(
        pod["automountServiceAccountToken"] == false,
        "carries a token of the cluster",
    );
    for shared in ["hostNetwork", "hostPID", "hostIPC"] {
        demand(pod[shared].is_null(), "shares what is the node's");
    }
    let volumes_allowed = list(&pod["volumes"]).all(|volume| {
        let mut kinds = volume.as_object().into_iter().flat_map(|volume| volume.keys());
        kinds.all(|kind| kind == "name" || VOLUMES.contains(&kind.as_str()))
    });
    demand(volumes_allowed, "mounts a volume of a kind that is not allowed");

    for container in containers(pod) {
        let security = &container["securityContext"];
        demand(
            security["allowPrivilegeEscalation"] == false,
            "may gain privileges",
        );
        demand(
            security["readOnlyRootFilesystem"] == true,
            "may change its own files",
        );
        demand(
            security["capabilities"] == json!({ "drop": ["ALL"] }),
            "has capabilities",
        );
        demand(security["privileged"].is_null(), "is privileged");
        let bounds = ["requests", "limits"]
            .iter()
            .flat_map(|bound| ["cpu", "memory"].map(|of| (bound, of)));
        let mut bounds = bounds.map(|(bound, of)| &container["resources"][bound][of]);
        demand(
            bounds.all(|bound| !bound.is_null()),
            "lacks a request or a limit of processor or memory",
        );
        let tag = container["image"]
            .as_str()
            .and_then(|image| image.rsplit_once(':'));
        demand(
            tag.is_some_and(|(_, tag)| tag != "latest"),
            "has an image without a fixed tag",
        );
        demand(
            list(&container["ports"]).all(|port| port["hostPort"].is_null()),
            "shares what is the node's",
        );
        demand(stops_in_time(pod, container), "is killed before it has drained");
    }
    faults
}

fn stops_in_time(pod: &Value, container: &Value) -> bool {
    let drain = list(&container["env"])
        .find(|variable| variable["name"] == "DRAIN_SECONDS")
        .and_then(|drain| drain["value"].as_str()?.parse::<u64>().ok());
    let Some(drain) = drain else { return true };
    let before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        .as_u64()
        .unwrap_or(0);
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
    grace > before + drain + MARGIN_SECONDS
}

/// Keys of Secrets and ConfigMaps that a pod wants and nobody makes.
fn missing_references(pod: &Value, manifests: &[Value]) -> Vec<String> {
    let made = |kind: &str, name: &Value, key: Option<&Value>| {
        manifests.iter().any(|manifest| {
            let has = |key: &Value| key.as_str().is_some_and(|key| !manifest["data"][key].is_null());
            manifest["kind"] == kind && manifest["metadata"]["name"] == *name && key.is_none_or(has)
        })
    };
    let mut missing = Vec::new();
    for variable in containers(pod).flat_map(|container| list(&container["env"])) {
        for (source, kind) in [("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")] {
            let wanted = &variable["valueFrom"][source];
            if wanted.is_object() && !made(kind, &wanted["name"], Some(&wanted["key"])) {
                missing.push(format!(
                    "wants {} of the {kind} {}",
                    wanted["key"], wanted["name"]
                ));
            }
        }
    }
    for volume in list(&pod["volumes"]) {
        for (source, kind, field) in [
            ("configMap", "ConfigMap", "name"),
            ("secret", "Secret", "secretName"),
            ("persistentVolumeClaim", "PersistentVolumeClaim", "claimName"),
        ] {
            let wanted = &volume[source][field];
            if !wanted.is_null() && !made(kind, wanted, None) {
                missing.push(format!("mounts the {kind} {wanted}"));
            }
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confined() -> Vec<Value> {
        let pod = json!({
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 30,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 10001, "seccompProfile": { "type": "RuntimeDefault" },
            },
            "containers": [{
                "image": "frontrow/auth:0.1.0",
                "env": [
                    { "name": "DRAIN_SECONDS", "value": "10" },
                    { "name": "DATABASE_URL", "valueFrom": { "secretKeyRef": { "name": "auth-database", "key": "url" } } },
                ],
                "lifecycle": { "preStop": { "sleep": { "seconds": 5 } } },
                "resources": { "requests": { "cpu": 1, "memory": 1 }, "limits": { "cpu": 1, "memory": 1 } },
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
                },
            }],
            "volumes": [{ "name": "tmp", "emptyDir": {} }],
        });
        vec![
            json!({ "kind": "Namespace", "metadata": {
                "name": "frontrow", "labels": { "pod-security.kubernetes.io/enforce": "restricted" },
            } }),
            json!({ "kind": "Deployment", "metadata": { "name": "auth", "namespace": "frontrow" }, "spec": { "template": {
                "metadata": { "labels": { "app": "auth" } }, "spec": pod,
            } } }),
            json!({ "kind": "Service", "metadata": { "name": "auth", "namespace": "frontrow" },
                "spec": { "selector": { "app": "auth" } } }),
            json!({ "kind": "Secret", "metadata": { "name": "auth-database", "namespace": "frontrow" },
                "data": { "url": "x" } }),
        ]
    }

    #[test]
    fn a_confined_pod_whose_references_are_there_has_no_faults() {
        assert_eq!(faults(&confined(), true), [""; 0]);
    }

    #[test]
    fn each_thing_that_is_left_out_or_opened_is_named() {
        let pod = "/1/spec/template/spec";
        let container = "/1/spec/template/spec/containers/0";
        for (pointer, value, fault) in [
            (
                "/0/metadata/labels".to_owned(),
                json!({}),
                "the namespace does not enforce the level `restricted`",
            ),
            (
                "/2/spec/selector".to_owned(),
                json!({ "app": "queue" }),
                "Service auth selects no pod",
            ),
            (
                "/2/metadata/namespace".to_owned(),
                json!("default"),
                "Service auth is in none of the namespaces that are made",
            ),
            (
                "/3/data".to_owned(),
                json!({}),
                "Deployment auth wants \"url\" of the Secret \"auth-database\"",
            ),
            (
                format!("{pod}/securityContext/runAsNonRoot"),
                json!(false),
                "Deployment auth may run as root",
            ),
            (
                format!("{pod}/securityContext/runAsUser"),
                json!(0),
                "Deployment auth does not say as whom it runs",
            ),
            (
                format!("{pod}/securityContext/seccompProfile"),
                json!(null),
                "Deployment auth may make any system call",
            ),
            (
                format!("{pod}/automountServiceAccountToken"),
                json!(true),
                "Deployment auth carries a token of the cluster",
            ),
            (
                format!("{pod}/volumes/0"),
                json!({ "name": "tmp", "hostPath": {} }),
                "Deployment auth mounts a volume of a kind that is not allowed",
            ),
            (
                format!("{pod}/terminationGracePeriodSeconds"),
                json!(19),
                "Deployment auth is killed before it has drained",
            ),
            (
                format!("{container}/securityContext/allowPrivilegeEscalation"),
                json!(true),
                "Deployment auth may gain privileges",
            ),
            (
                format!("{container}/securityContext/readOnlyRootFilesystem"),
                json!(false),
                "Deployment auth may change its own files",
            ),
            (
                format!("{container}/securityContext/capabilities"),
                json!({ "drop": ["ALL"], "add": ["NET_ADMIN"] }),
                "Deployment auth has capabilities",
            ),
            (
                format!("{container}/resources/limits/memory"),
                json!(null),
                "Deployment auth lacks a request or a limit of processor or memory",
            ),
            (
                format!("{container}/image"),
                json!("frontrow/auth"),
                "Deployment auth has an image without a fixed tag",
            ),
        ] {
            let mut manifests = json!(confined());
            *manifests.pointer_mut(&pointer).unwrap() = value;
            let manifests = manifests.as_array().unwrap();
            assert_eq!(faults(manifests, true), [fault], "{pointer}");
        }
    }
}
