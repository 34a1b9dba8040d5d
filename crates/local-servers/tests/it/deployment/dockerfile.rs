use std::collections::BTreeSet;

use local_servers::topology::{GATEWAY, SERVICES};

use super::text;

/// The lines of each stage, by its name, in the order of the file.
fn stages(dockerfile: &str) -> Vec<(&str, Vec<&str>)> {
    let mut stages: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in dockerfile.lines() {
        if let Some(from) = line.strip_prefix("FROM ") {
            stages.push((from.rsplit(' ').next().unwrap(), vec![line]));
        } else if let Some((_, lines)) = stages.last_mut() {
            lines.push(line.trim());
        }
    }
    stages
}

#[test]
fn there_is_an_image_of_each_program_that_runs_it_as_nobody_and_asks_it_for_its_health() {
    let dockerfile = text("deploy/Dockerfile");
    let stages = stages(&dockerfile);
    let lines_of = |name: &str| {
        let stage = stages.iter().find(|(stage, _)| *stage == name);
        &stage
            .unwrap_or_else(|| panic!("no stage makes an image of {name}"))
            .1
    };
    for service in &SERVICES {
        let name = service.name;
        let lines = lines_of(name);
        for expected in [
            format!("COPY --from=build /out/{name} /usr/local/bin/{name}"),
            format!(r#"CMD ["/usr/local/bin/{name}", "healthcheck"]"#),
            format!(r#"ENTRYPOINT ["/usr/local/bin/{name}"]"#),
            r#"CMD ["serve"]"#.to_owned(),
        ] {
            assert!(lines.contains(&expected.as_str()), "{name} lacks `{expected}`");
        }
        let base = if service.grpc { "grpc-service" } else { "" };
        assert!(lines[0].starts_with(&format!("FROM {base}")), "{}", lines[0]);
        assert!(
            !lines.iter().any(|line| line.starts_with("USER")),
            "{name} changes its user"
        );
    }
    assert!(lines_of("runtime").contains(&"USER 10001:10001"));
    assert!(lines_of("runtime").contains(&"STOPSIGNAL SIGTERM"));
    assert_eq!(stages.last().unwrap().0, GATEWAY);
}

#[test]
fn the_programs_that_are_built_are_those_that_have_images() {
    let dockerfile = text("deploy/Dockerfile");
    let packages: BTreeSet<_> = dockerfile
        .lines()
        .filter_map(|line| line.trim().strip_prefix("--package "))
        .map(|package| package.trim_end_matches(" \\"))
        .collect();
    let programs: BTreeSet<_> = dockerfile
        .lines()
        .find_map(|line| line.trim().strip_prefix("&& for program in "))
        .and_then(|line| line.strip_suffix("; do \\"))
        .unwrap()
        .split(' ')
        .collect();
    let services: BTreeSet<_> = SERVICES.iter().map(|service| service.name).collect();
    assert_eq!(packages, services);
    assert_eq!(programs, services);
}

#[test]
fn base_images_are_pinned_and_the_build_image_has_the_rust_that_the_workspace_asks_for() {
    let dockerfile = text("deploy/Dockerfile");
    let stages = stages(&dockerfile);
    let own: BTreeSet<_> = stages.iter().map(|(name, _)| *name).collect();
    for (_, lines) in &stages {
        let base = lines[0].split(' ').nth(1).unwrap();
        let version = base.split_once(':').map(|(_, tag)| tag);
        assert!(
            own.contains(base)
                || version.is_some_and(|tag| tag.starts_with(|first: char| first.is_ascii_digit())),
            "{base} may be another one tomorrow"
        );
    }
    let manifest = text("Cargo.toml");
    let wanted = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"'))
        .unwrap();
    assert!(
        dockerfile.contains(&format!("FROM rust:{wanted}.")),
        "the workspace asks for Rust {wanted}"
    );
}

#[test]
fn all_that_the_workspace_consists_of_is_sent_to_the_build() {
    let ignored = text(".dockerignore");
    let sent: BTreeSet<_> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    assert!(ignored.lines().any(|line| line == "*"));
    assert_eq!(
        sent,
        BTreeSet::from([".cargo", "Cargo.lock", "Cargo.toml", "crates", "proto", "tests"])
    );
    let manifest = text("Cargo.toml");
    assert!(
        manifest.contains(r#"members = ["crates/*", "tests"]"#),
        "the workspace has other members"
    );
}
