//! What a check has found: one line for people, one object for machines.

use std::fmt;

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    Ok,
    Wrong,
    NotChecked,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) verdict: Verdict,
    /// What was looked at: `machine`, or a service.
    pub(crate) subject: String,
    /// The kind of check; stable, for machines.
    pub(crate) check: &'static str,
    pub(crate) what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mend: Option<String>,
}

impl Finding {
    pub(crate) fn ok(subject: &str, check: &'static str, what: impl Into<String>) -> Finding {
        Finding {
            verdict: Verdict::Ok,
            subject: subject.to_owned(),
            check,
            what: what.into(),
            mend: None,
        }
    }

    /// Every wrong thing comes with a way to mend it.
    pub(crate) fn wrong(
        subject: &str,
        check: &'static str,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> Finding {
        Finding {
            verdict: Verdict::Wrong,
            mend: Some(mend.into()),
            ..Finding::ok(subject, check, what)
        }
    }

    pub(crate) fn not_checked(subject: &str, check: &'static str, why: impl Into<String>) -> Finding {
        Finding {
            verdict: Verdict::NotChecked,
            ..Finding::ok(subject, check, why)
        }
    }

    pub(crate) fn mend(mut self, mend: &str) -> Finding {
        self.mend = Some(mend.to_owned());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Wrong => "WRONG",
            Verdict::NotChecked => "not checked",
        };
        write!(f, "{verdict}: {} {}: {}", self.subject, self.check, self.what)?;
        match &self.mend {
            Some(mend) => write!(f, " — {mend}"),
            None => Ok(()),
        }
    }
}
