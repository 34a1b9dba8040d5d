//! The contracts as a client's author needs them: lint, format, and that buf alone can compile them.

use std::path::Path;

use anyhow::Result;

use crate::cargo;
use crate::report::Report;
use crate::tools::{self, Tool};

const VERSION: &str = "1.75.0";

/// Checks them; answers why where it cannot be done.
pub(crate) async fn check(root: &Path, report: &Report) -> Result<Option<String>> {
    let buf = match tools::node(root, "@bufbuild/buf", VERSION, "buf", report).await? {
        Tool::There(program) => program,
        Tool::Absent(reason) => return Ok(Some(reason)),
    };
    let calls: [&[&str]; 3] = [&["lint"], &["build"], &["format", "--diff", "--exit-code"]];
    for arguments in calls {
        let mut call = cargo::program(root, &buf);
        call.args(arguments);
        cargo::succeed(call).await?;
    }
    Ok(None)
}
