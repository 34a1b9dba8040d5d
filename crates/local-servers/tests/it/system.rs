//! The launcher of the whole system, with small stand-ins for the services.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use local_servers::topology::SERVICES;
use local_servers::{
    Durability, Endpoints, Error, Home, Kind, PrivateServer, System, SystemOptions, environment_of, running,
};

/// Not a test: what the stand-ins run. It answers 200 to everything on the address it is given.
#[test]
fn stand_in() {
    let Ok(address) = env::var("ADMIN_ADDR").or_else(|_| env::var("SIMULATOR_ADDR")) else {
        return;
    };
    for stream in TcpListener::bind(address).unwrap().incoming() {
        let mut stream = stream.unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
}

/// A folder of programs named like the services.
fn programs() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let this = env::current_exe().unwrap();
    let script = format!(
        "#!/bin/sh\necho \"$1 with $SEEN\"\n[ -z \"$FAILS\" ] || {{ echo 'KEY is missing' >&2; exit 3; }}\n\
         [ \"$1\" != migrate ] || exit 0\nexec {} --exact system::stand_in --nocapture\n",
        this.display()
    );
    for service in &SERVICES {
        let path = dir.path().join(service.name);
        fs::write(&path, &script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    dir
}

async fn options(home: &Home, programs: &tempfile::TempDir) -> (PrivateServer, SystemOptions) {
    let postgres = PrivateServer::launch(Kind::Postgres, home, Durability::Off)
        .await
        .unwrap();
    let endpoints = Endpoints {
        postgres: postgres.url(),
        redis: "redis://127.0.0.1:1".parse().unwrap(),
        amqp: "amqp://127.0.0.1:1".parse().unwrap(),
    };
    (
        postgres,
        SystemOptions::new(home.clone(), programs.path(), endpoints),
    )
}

fn serves(system: &System, service: &str) -> bool {
    let url = system.admin_url(service).unwrap();
    TcpStream::connect(url.trim_start_matches("http://")).is_ok()
}

#[tokio::test]
async fn a_system_starts_loses_a_service_gets_it_back_and_ends() {
    let (home, programs) = (Home::temporary().await.unwrap(), programs());
    let (_postgres, mut options) = options(&home, &programs).await;
    options.env = vec![("SEEN".to_owned(), "all".to_owned())];
    options
        .service_env
        .insert("booking", vec![("SEEN".to_owned(), "booking alone".to_owned())]);
    let mut system = System::start(options, &|_| {}).await.unwrap();
    assert!(SERVICES.iter().all(|service| serves(&system, service.name)));
    assert_eq!(
        system.logs("booking").unwrap().lines().next(),
        Some("migrate with booking alone")
    );
    assert!(system.logs("queue").unwrap().contains("serve with all"));
    assert_eq!(
        system.env("gateway", "BOOKING_URL"),
        system.grpc_url("booking").ok().as_deref()
    );

    system.kill_service("booking").await.unwrap();
    assert!(!serves(&system, "booking"));
    assert!(
        system.ended().is_none(),
        "one that was killed on purpose is not news"
    );
    system.start_service("booking").await.unwrap();
    assert!(serves(&system, "booking"));
    assert!(system.stop_service("booking").await.unwrap());
    assert!(!serves(&system, "booking"));

    let urls: Vec<_> = SERVICES
        .iter()
        .map(|service| system.admin_url(service.name).unwrap())
        .collect();
    assert!(system.shutdown().await.is_empty());
    for url in urls {
        assert!(TcpStream::connect(url.trim_start_matches("http://")).is_err());
    }
}

#[tokio::test]
async fn a_service_that_cannot_start_is_named_with_what_it_said() {
    let (home, programs) = (Home::temporary().await.unwrap(), programs());
    let (_postgres, mut options) = options(&home, &programs).await;
    options
        .service_env
        .insert("expire-worker", vec![("FAILS".to_owned(), "yes".to_owned())]);
    let error = System::start(options, &|_| {}).await.unwrap_err();
    assert!(
        matches!(&error, Error::Exited { what, tail, .. } if what == "expire-worker" && tail.contains("KEY is missing")),
        "{error}"
    );
}

#[tokio::test]
async fn only_what_is_named_is_started_and_every_environment_is_kept() {
    let (home, programs) = (Home::temporary().await.unwrap(), programs());
    let (_postgres, mut options) = options(&home, &programs).await;
    options.only = Some(vec!["concert", "payment"]);
    let system = System::start(options, &|_| {}).await.unwrap();
    let names: Vec<_> = system.services().map(|service| service.name).collect();
    // Who pays needs the provider's stand-in.
    assert_eq!(names, ["concert", "payment", "psp-simulator"]);
    assert!(names.iter().all(|name| serves(&system, name)));
    assert!(system.grpc_url("booking").is_err());
    // It would wait for booking's help for ever.
    assert_eq!(system.env("concert", "SEED_DEMO"), None);
    assert_eq!(system.env("payment", "SEED_DEMO"), Some("true"));
    assert_eq!(running(home.dir()).len(), names.len() + 1, "and Postgres");

    let kept = environment_of(home.dir(), "concert").unwrap();
    assert_eq!(
        kept.get("BOOKING_URL").map(String::as_str),
        system.env("concert", "BOOKING_URL")
    );
    assert!(
        environment_of(home.dir(), "booking")
            .unwrap()
            .contains_key("DATABASE_URL")
    );
    system.shutdown().await;
}

#[tokio::test]
async fn a_role_reaches_its_own_database_and_no_other() {
    let (home, programs) = (Home::temporary().await.unwrap(), programs());
    let (_postgres, options) = options(&home, &programs).await;
    let system = System::start(options, &|_| {}).await.unwrap();
    let own = system.database_url("payment").unwrap();
    let mut foreign = own.clone();
    foreign.set_path("booking");
    assert!(
        tokio_postgres::connect(own.as_str(), tokio_postgres::NoTls)
            .await
            .is_ok()
    );
    assert!(
        tokio_postgres::connect(foreign.as_str(), tokio_postgres::NoTls)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_replica_has_addresses_of_its_own_and_shares_everything_else() {
    let home = Home::temporary().await.unwrap();
    let programs = programs();
    let (_postgres, options) = options(&home, &programs).await;
    let mut system = System::start(options, &|_| {}).await.unwrap();
    system.start_replica("queue", "queue-2", &[]).await.unwrap();
    let beside = system.grpc_url("queue-2").unwrap();
    let env = [("QUEUE_URL", beside.clone())];
    system.start_replica("gateway", "gateway-2", &env).await.unwrap();

    for (first, second, own) in [
        ("queue", "queue-2", ["GRPC_ADDR", "ADMIN_ADDR"]),
        ("gateway", "gateway-2", ["HTTP_ADDR", "ADMIN_ADDR"]),
    ] {
        for variable in own {
            assert_ne!(system.env(first, variable), system.env(second, variable));
        }
        let keys = system.env(first, "QUEUE_TOKEN_KEYS");
        assert!(keys.is_some() && keys == system.env(second, "QUEUE_TOKEN_KEYS"));
    }
    assert_eq!(
        system.database_url("queue").unwrap(),
        system.database_url("queue-2").unwrap()
    );
    assert_eq!(system.env("gateway-2", "QUEUE_URL"), Some(&*beside));
    assert_eq!(system.services().count(), SERVICES.len());
    assert_eq!(system.processes().count(), SERVICES.len() + 2);

    system.kill_service("queue").await.unwrap();
    assert!(system.has_ended("queue").unwrap() && !system.has_ended("queue-2").unwrap());
    system.start_service("queue").await.unwrap();
    assert!(system.shutdown().await.is_empty());
}

/// Not a test of its own: the process that the next one kills.
#[tokio::test]
async fn owner_of_a_redis() {
    let Ok(path) = env::var("TELL_WHERE") else { return };
    let home = Home::temporary().await.unwrap();
    let redis = PrivateServer::launch(Kind::Redis, &home, Durability::Off)
        .await
        .unwrap();
    fs::write(&path, format!("{} {}", redis.port(), home.dir().display())).unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[test]
fn nothing_outlives_a_process_that_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let told = dir.path().join("told");
    let mut owner = Command::new(env::current_exe().unwrap())
        .args(["--exact", "system::owner_of_a_redis"])
        .env("TELL_WHERE", &told)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let within = |bound: u64, done: &dyn Fn() -> bool| {
        let end = Instant::now() + Duration::from_secs(bound);
        while !done() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(done());
    };
    within(30, &|| {
        fs::read_to_string(&told).is_ok_and(|text| !text.is_empty())
    });
    let text = fs::read_to_string(&told).unwrap();
    let (port, home) = text.split_once(' ').unwrap();
    let (port, home): (u16, PathBuf) = (port.parse().unwrap(), home.into());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok() && home.is_dir());

    owner.kill().unwrap();
    owner.wait().unwrap();
    within(10, &|| {
        TcpStream::connect(("127.0.0.1", port)).is_err() && !home.exists()
    });
}
