//! One database and one role for each service; the role owns its database and reaches no other.

use tokio_postgres::{Client, NoTls};
use url::Url;

use crate::error::{Error, Result};

/// A connection with the right to make databases and roles.
pub(crate) struct Admin {
    client: Client,
    url: Url,
}

impl Admin {
    pub(crate) async fn connect(url: &Url) -> Result<Admin> {
        let (client, connection) = tokio_postgres::connect(url.as_str(), NoTls)
            .await
            .map_err(refused("let us in"))?;
        tokio::spawn(connection);
        Ok(Admin {
            client,
            url: url.clone(),
        })
    }

    /// Makes what is missing, sets the role's password, and answers with the role's own URL. Both have the same name.
    pub(crate) async fn ensure(&self, name: &str, password: &str) -> Result<Url> {
        let (role, secret) = (identifier(name), literal(password));
        let known = async |catalog: &str, column: &str| {
            let query = format!("SELECT 1 FROM {catalog} WHERE {column} = $1");
            self.client
                .query_opt(&query, &[&name])
                .await
                .map_err(refused("look for a database"))
        };
        let verb = if known("pg_roles", "rolname").await?.is_some() {
            "ALTER"
        } else {
            "CREATE"
        };
        self.run(
            &format!("{verb} ROLE {role} LOGIN PASSWORD {secret}"),
            "make a role",
        )
        .await?;
        if known("pg_database", "datname").await?.is_none() {
            // Who is no superuser may give a database only to a role of their own.
            self.run(&format!("GRANT {role} TO CURRENT_USER"), "join a role")
                .await?;
            self.run(&format!("CREATE DATABASE {role} OWNER {role}"), "make a database")
                .await?;
            self.run(
                &format!("REVOKE ALL ON DATABASE {role} FROM PUBLIC"),
                "close a database",
            )
            .await?;
        }
        Ok(with_user(&self.url, name, password))
    }

    /// Deletes a database, whoever is connected to it, and its role.
    pub(crate) async fn remove(&self, name: &str) -> Result<()> {
        let role = identifier(name);
        self.run(
            &format!("DROP DATABASE IF EXISTS {role} WITH (FORCE)"),
            "delete a database",
        )
        .await?;
        self.run(&format!("DROP ROLE IF EXISTS {role}"), "delete a role")
            .await
    }

    async fn run(&self, statement: &str, action: &str) -> Result<()> {
        self.client
            .batch_execute(statement)
            .await
            .map_err(refused(action))
    }
}

/// Makes a new database beside others of the server at `url` and runs these scripts in it, as whoever `url` names.
/// One of that name is deleted first.
pub async fn scratch_database(url: &Url, name: &str, scripts: &[String]) -> Result<Url> {
    let admin = Admin::connect(url).await?;
    let database = identifier(name);
    admin
        .run(
            &format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"),
            "delete a database",
        )
        .await?;
    admin
        .run(&format!("CREATE DATABASE {database}"), "make a database")
        .await?;
    let mut url = url.clone();
    url.set_path(name);
    let scratch = Admin::connect(&url).await?;
    for script in scripts {
        scratch.run(script, "run a script").await?;
    }
    Ok(url)
}

fn refused(action: &str) -> impl FnOnce(tokio_postgres::Error) -> Error {
    let action = action.to_owned();
    |source| Error::Database { action, source }
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn with_user(url: &Url, name: &str, password: &str) -> Url {
    let mut url = url.clone();
    // These refuse only URLs without a host.
    let _ = url.set_username(name);
    let _ = url.set_password(Some(password));
    url.set_path(name);
    url
}
