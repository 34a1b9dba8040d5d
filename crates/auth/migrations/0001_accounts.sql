-- Accounts, their roles, their sessions, and the keys that access tokens are signed with.

CREATE TABLE users (
    user_id       uuid        PRIMARY KEY,
    email         text        NOT NULL,
    name          text        NOT NULL,
    password_hash text        NOT NULL,
    -- The idempotency key that it was made with: for 24 hours the same request finds its account by it. What else the
    -- request said is compared with the account itself, so that nothing more is kept of the password than its hash.
    sign_up_key   text,
    created_at    timestamptz NOT NULL DEFAULT frontrow_now(),

    -- A key is something to tell one request from another.
    CONSTRAINT users_sign_up_key_is_bounded CHECK (length(sign_up_key) BETWEEN 1 AND 255),
    -- One address, one account: two sign-ups in a race are settled here.
    CONSTRAINT users_email_is_unique UNIQUE (email),
    -- Addresses are compared without regard to case, so only one spelling is kept.
    CONSTRAINT users_email_is_lower_case CHECK (email = lower(email)),
    -- The longest address that mail can be sent to.
    CONSTRAINT users_email_is_bounded CHECK (length(email) BETWEEN 3 AND 254),
    -- A name is something to show.
    CONSTRAINT users_name_is_bounded CHECK (length(name) BETWEEN 1 AND 100),
    -- Nothing but an Argon2id hash is ever kept of a password.
    CONSTRAINT users_password_is_hashed CHECK (password_hash LIKE '$argon2id$%')
);

CREATE TABLE user_roles (
    user_id    uuid        NOT NULL REFERENCES users,
    role       text        NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT frontrow_now(),

    PRIMARY KEY (user_id, role),
    -- Only the roles that services know.
    CONSTRAINT user_roles_role_is_known CHECK (role IN ('BUYER', 'ORGANISER'))
);

-- One login. Its refresh tokens are numbered by generation: trading one of the newest generation begins the next.
CREATE TABLE sessions (
    session_id    uuid        PRIMARY KEY,
    user_id       uuid        NOT NULL REFERENCES users,
    generation    integer     NOT NULL DEFAULT 0,
    advanced_at   timestamptz NOT NULL,
    retries       integer     NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL,
    ends_at       timestamptz NOT NULL,
    ended_at      timestamptz,
    ended_because text,

    -- Generations only go up, from 0.
    CONSTRAINT sessions_generation_counts_from_zero CHECK (generation >= 0),
    -- Retries of one trade are counted, to bound them.
    CONSTRAINT sessions_retries_count_from_zero CHECK (retries >= 0),
    -- A session lasts some time.
    CONSTRAINT sessions_end_after_they_begin CHECK (ends_at > created_at),
    -- A session that was ended says why, and one that was not does not.
    CONSTRAINT sessions_end_has_a_reason CHECK ((ended_at IS NULL) = (ended_because IS NULL)),
    -- Only the reasons that the service knows.
    CONSTRAINT sessions_reason_is_known CHECK (ended_because IN ('LOGGED_OUT', 'TOKEN_REUSED', 'LOGIN_FAILED'))
);

-- Sessions whose time is over are forgotten in this order.
CREATE INDEX sessions_by_end ON sessions (ends_at);

-- Every refresh token ever given of a session that is still kept, so that a second use is recognised.
CREATE TABLE refresh_tokens (
    token_hash bytea       PRIMARY KEY,
    session_id uuid        NOT NULL REFERENCES sessions ON DELETE CASCADE,
    generation integer     NOT NULL,
    created_at timestamptz NOT NULL DEFAULT frontrow_now(),

    -- SHA-256; the token itself is known to its bearer alone.
    CONSTRAINT refresh_tokens_hash_is_sha256 CHECK (octet_length(token_hash) = 32),
    -- Generations only go up, from 0.
    CONSTRAINT refresh_tokens_generation_counts_from_zero CHECK (generation >= 0)
);

-- Tokens go with their session.
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);

CREATE TABLE signing_keys (
    kid           text        PRIMARY KEY,
    private_pkcs8 bytea       NOT NULL,
    public_jwk    jsonb       NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT frontrow_now(),
    retired_at    timestamptz,

    -- What is published is found by the id that tokens name.
    CONSTRAINT signing_keys_jwk_has_the_kid CHECK (public_jwk ->> 'kid' = kid),
    -- What is published holds no private part ("d" of RFC 8037).
    CONSTRAINT signing_keys_jwk_is_public CHECK (NOT public_jwk ? 'd')
);

-- One key signs at a time: of several replicas that start together one makes it.
CREATE UNIQUE INDEX signing_keys_one_is_active ON signing_keys ((true)) WHERE retired_at IS NULL;

-- Attempts to log in and to sign up, counted per key for all replicas together. A key is the SHA-256 of what it limits:
-- an address, an account, or both together, whether there is such an account or not.
CREATE TABLE attempts (
    key     bytea       PRIMARY KEY,
    -- When all that was taken of the allowance is given back; from then on the row says nothing and is deleted.
    full_at timestamptz NOT NULL,

    -- SHA-256; neither address nor account can be read here.
    CONSTRAINT attempts_key_is_sha256 CHECK (octet_length(key) = 32)
);

-- Rows that say nothing any more are deleted in this order.
CREATE INDEX attempts_by_end ON attempts (full_at);

-- From where an account was logged in to: failures from elsewhere do not close it to these addresses.
CREATE TABLE known_addresses (
    -- Of account and address together, as in attempts.
    key         bytea       PRIMARY KEY,
    known_until timestamptz NOT NULL,

    -- SHA-256; neither address nor account can be read here.
    CONSTRAINT known_addresses_key_is_sha256 CHECK (octet_length(key) = 32)
);

-- Those that were not seen for long are forgotten in this order.
CREATE INDEX known_addresses_by_end ON known_addresses (known_until);

-- Every role beyond that of all accounts that was ever given or taken, by whatever statement.
CREATE TABLE role_changes (
    change_id  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id    uuid        NOT NULL REFERENCES users,
    role       text        NOT NULL,
    change     text        NOT NULL,
    -- The database role that did it: no service lets a user do so.
    changed_by text        NOT NULL DEFAULT session_user,
    changed_at timestamptz NOT NULL DEFAULT frontrow_now(),

    -- Only the changes that there are.
    CONSTRAINT role_changes_change_is_known CHECK (change IN ('GRANTED', 'REVOKED'))
);

CREATE FUNCTION note_role_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO role_changes (user_id, role, change) VALUES (NEW.user_id, NEW.role, 'GRANTED');
    ELSE
        INSERT INTO role_changes (user_id, role, change) VALUES (OLD.user_id, OLD.role, 'REVOKED');
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER user_roles_granted_are_noted AFTER INSERT ON user_roles
    FOR EACH ROW WHEN (NEW.role <> 'BUYER') EXECUTE FUNCTION note_role_change();
CREATE TRIGGER user_roles_revoked_are_noted AFTER DELETE ON user_roles
    FOR EACH ROW WHEN (OLD.role <> 'BUYER') EXECUTE FUNCTION note_role_change();

CREATE FUNCTION refuse_to_rewrite() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
END
$$;

-- What was noted is neither changed nor deleted.
CREATE TRIGGER role_changes_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON role_changes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite();
