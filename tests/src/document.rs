//! The gateway's own document: every answer that a test gets must be described in it.

use std::process::Command;
use std::sync::LazyLock;

use reqwest::Method;
use serde_json::Value;

use crate::answer::Answer;
use crate::world::bin_dir;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let output = Command::new(bin_dir().join("gateway"))
        .arg("openapi")
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
});

/// Fails the test when the document does not describe this answer: its status, its media type, its problem code.
#[track_caller]
pub(crate) fn check(method: &Method, path: &str, answer: &Answer) {
    // Other ports and pages are not described.
    if !path.starts_with("/v1/")
        || !matches!(*method, Method::GET | Method::POST | Method::PUT | Method::DELETE)
    {
        return;
    }
    let said = format!("{method} {path}: {} {}", answer.status, answer.text("code"));
    let paths = DOCUMENT["paths"].as_object().unwrap();
    // A fixed name is closer than an id.
    let routes = paths.iter().filter(|(template, _)| matches(template, path));
    let Some((_, route)) = routes.min_by_key(|(template, _)| template.matches('{').count()) else {
        assert_eq!(answer.text("code"), "route-not-found", "{said}");
        return;
    };
    let Some(operation) = route.get(method.as_str().to_lowercase()) else {
        assert_eq!(answer.text("code"), "method-not-allowed", "{said}");
        return;
    };
    let response = &operation["responses"][answer.status.to_string()];
    assert!(response.is_object(), "the document does not describe {said}");
    let described = response["x-problem-codes"].as_array();
    assert!(
        answer.status < 400 || described.is_some_and(|codes| codes.contains(&answer.body["code"])),
        "the document does not describe {said}"
    );
    if let Some(content) = response["content"].as_object() {
        let media_type = answer.header("content-type").unwrap_or_default();
        assert!(content.contains_key(media_type), "{said} is {media_type:?}");
    }
}

fn matches(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(part), Some(text)) if part == text || part.starts_with('{') => {}
            _ => return false,
        }
    }
}
