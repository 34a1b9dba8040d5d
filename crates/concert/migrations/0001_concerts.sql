-- Titles are searched by any part of them.
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- A hall of one organiser with its seating plan. A venue never changes: another plan is another venue.
CREATE TABLE venues (
    venue_id     uuid        CONSTRAINT venues_have_an_id PRIMARY KEY,
    organiser_id uuid        NOT NULL,
    -- A name that people can read.
    name         text        NOT NULL CONSTRAINT venues_name_is_1_to_200_characters CHECK (char_length(name) BETWEEN 1 AND 200),
    -- The imported plan as JSON (`SeatPlan`), read and written as a whole; nothing in it is ever queried.
    plan         bytea       NOT NULL,
    -- SHA-256 of `plan`, from which layout versions are made.
    plan_hash    bytea       NOT NULL CONSTRAINT venues_plan_hash_is_a_sha_256 CHECK (octet_length(plan_hash) = 32),
    -- A hall with nothing to sell, or too much for one message, is none.
    seats        integer     NOT NULL CONSTRAINT venues_have_1_to_100000_seats CHECK (seats BETWEEN 1 AND 100000),
    created_at   timestamptz NOT NULL DEFAULT frontrow_now(),
    -- Lets concerts refer to a venue together with its owner.
    CONSTRAINT venues_have_one_organiser UNIQUE (venue_id, organiser_id)
);

-- The grades that a venue's seats use, in the order of its plan.
CREATE TABLE venue_grades (
    venue_id uuid     NOT NULL CONSTRAINT venue_grades_belong_to_a_venue REFERENCES venues,
    grade    text     NOT NULL CONSTRAINT venue_grades_are_1_to_64_characters CHECK (char_length(grade) BETWEEN 1 AND 64),
    position integer  NOT NULL CONSTRAINT venue_grades_are_counted_from_0 CHECK (position >= 0),
    -- A grade stands once in a plan.
    CONSTRAINT venue_grades_are_distinct PRIMARY KEY (venue_id, grade),
    -- The order is a total one.
    CONSTRAINT venue_grades_have_one_order UNIQUE (venue_id, position)
);

-- Whether every value is smaller than the one before it.
CREATE FUNCTION strictly_falls(integer[]) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(bool_and(value < before), true)
    FROM (SELECT value, lag(value) OVER (ORDER BY position) AS before
          FROM unnest($1) WITH ORDINALITY AS asked (value, position)) AS pairs
    WHERE before IS NOT NULL
$$;

-- Whether no value is greater than the one before it.
CREATE FUNCTION never_rises(integer[]) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(bool_and(value <= before), true)
    FROM (SELECT value, lag(value) OVER (ORDER BY position) AS before
          FROM unnest($1) WITH ORDINALITY AS asked (value, position)) AS pairs
    WHERE before IS NOT NULL
$$;

CREATE TABLE concerts (
    concert_id            uuid        CONSTRAINT concerts_have_an_id PRIMARY KEY,
    organiser_id          uuid        NOT NULL,
    venue_id              uuid        NOT NULL,
    -- A title that people can read; in Unicode form NFC, so that a search finds it however it was typed.
    title                 text        NOT NULL CONSTRAINT concerts_title_is_1_to_200_characters CHECK (char_length(title) BETWEEN 1 AND 200)
                                               CONSTRAINT concerts_title_is_nfc CHECK (title IS NFC NORMALIZED),
    currency              text        NOT NULL CONSTRAINT concerts_currency_is_iso_4217 CHECK (currency ~ '^[A-Z]{3}$'),
    -- Names plan, currency and prices together: a date's layout.
    layout_version        text        NOT NULL CONSTRAINT concerts_layout_version_is_32_hex_digits CHECK (layout_version ~ '^[0-9a-f]{32}$'),
    -- The waiting room as it was asked for at the beginning; the room itself is the queue service's.
    room_capacity         integer     NOT NULL CONSTRAINT concerts_room_capacity_is_1_to_1000000 CHECK (room_capacity BETWEEN 1 AND 1000000),
    room_admit_per_second integer     NOT NULL CONSTRAINT concerts_room_admits_1_to_100000_per_second CHECK (room_admit_per_second BETWEEN 1 AND 100000),
    room_opens_at         timestamptz,
    room_mode             text        NOT NULL CONSTRAINT concerts_room_mode_is_known CHECK (room_mode IN ('OPEN', 'PAUSED', 'DRAINING')),
    -- The refund policy, tier by tier: whoever cancels at least so many hours before the beginning gets so many percent back.
    -- Never changed: who has paid keeps the terms of the purchase.
    refund_hours          integer[]   NOT NULL CONSTRAINT concerts_refund_hours_are_0_to_87600
                                               CHECK (0 <= ALL (refund_hours) AND 87600 >= ALL (refund_hours))
                                               -- The longest time stands first, none twice.
                                               CONSTRAINT concerts_refund_hours_fall CHECK (strictly_falls(refund_hours)),
    refund_percents       integer[]   NOT NULL CONSTRAINT concerts_refund_percents_are_1_to_100
                                               CHECK (1 <= ALL (refund_percents) AND 100 >= ALL (refund_percents))
                                               -- Who cancels earlier never gets less.
                                               CONSTRAINT concerts_refund_percents_never_rise CHECK (never_rises(refund_percents)),
    -- CREATING until the waiting room exists; only a LISTED concert is seen by anybody.
    state                 text        NOT NULL CONSTRAINT concerts_state_is_known CHECK (state IN ('CREATING', 'LISTED')),
    -- While CREATING: until when one worker has the making of the room to itself.
    leased_until          timestamptz NOT NULL,
    created_at            timestamptz NOT NULL DEFAULT frontrow_now(),
    -- A tier has a time and a share; a policy that nobody can read is none.
    CONSTRAINT concerts_have_at_most_10_refund_tiers CHECK (cardinality(refund_hours) <= 10
        AND cardinality(refund_percents) = cardinality(refund_hours)
        AND array_position(refund_hours, NULL) IS NULL AND array_position(refund_percents, NULL) IS NULL),
    -- A concert takes place in a venue of its own organiser.
    CONSTRAINT concerts_use_an_own_venue FOREIGN KEY (venue_id, organiser_id) REFERENCES venues (venue_id, organiser_id),
    -- Lets prices refer to a concert together with its venue.
    CONSTRAINT concerts_have_one_venue UNIQUE (concert_id, venue_id)
);
CREATE INDEX concerts_newest_first ON concerts (created_at DESC, concert_id DESC) WHERE state = 'LISTED';
CREATE INDEX concerts_by_part_of_title ON concerts USING gin (title gin_trgm_ops) WHERE state = 'LISTED';
CREATE INDEX concerts_unfinished ON concerts (leased_until) WHERE state = 'CREATING';

-- What a grade costs at a concert, in the currency's smallest unit. Never changed: what is on sale keeps its price.
CREATE TABLE concert_prices (
    concert_id uuid   NOT NULL,
    venue_id   uuid   NOT NULL,
    grade      text   NOT NULL,
    amount     bigint NOT NULL CONSTRAINT concert_prices_are_0_to_a_million_million CHECK (amount BETWEEN 0 AND 1000000000000),
    -- A grade has one price.
    CONSTRAINT concert_prices_are_one_per_grade PRIMARY KEY (concert_id, grade),
    -- A price is one of a concert in that venue.
    CONSTRAINT concert_prices_belong_to_a_concert FOREIGN KEY (concert_id, venue_id) REFERENCES concerts (concert_id, venue_id),
    -- Only grades that the venue has can be priced.
    CONSTRAINT concert_prices_are_for_grades_of_the_venue FOREIGN KEY (venue_id, grade) REFERENCES venue_grades (venue_id, grade)
);

CREATE TABLE schedules (
    schedule_id  uuid        CONSTRAINT schedules_have_an_id PRIMARY KEY,
    concert_id   uuid        NOT NULL CONSTRAINT schedules_belong_to_a_concert REFERENCES concerts,
    starts_at    timestamptz NOT NULL,
    -- OPENING until its seats are for sale; only a date ON_SALE is seen by anybody.
    state        text        NOT NULL CONSTRAINT schedules_state_is_known CHECK (state IN ('OPENING', 'ON_SALE')),
    -- While OPENING: until when one worker has the opening to itself.
    leased_until timestamptz NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT frontrow_now(),
    -- When the organiser asked to close the sale; booking is told until it has closed it.
    closing_at   timestamptz CONSTRAINT schedules_close_after_they_were_on_sale CHECK (closing_at IS NULL OR state = 'ON_SALE'),
    -- When booking closed the sale.
    closed_at    timestamptz CONSTRAINT schedules_are_closed_when_it_was_asked_for CHECK (closed_at IS NULL OR closing_at IS NOT NULL),
    -- When the organiser canceled the date; booking is told until it has canceled it.
    canceling_at timestamptz CONSTRAINT schedules_are_canceled_after_they_were_on_sale CHECK (canceling_at IS NULL OR state = 'ON_SALE'),
    -- When booking canceled it.
    canceled_at  timestamptz CONSTRAINT schedules_are_canceled_when_it_was_asked_for CHECK (canceled_at IS NULL OR canceling_at IS NOT NULL),
    -- A date that is over cannot be put on sale.
    CONSTRAINT schedules_start_after_they_were_made CHECK (starts_at > created_at)
);
CREATE INDEX schedules_of_a_concert ON schedules (concert_id, starts_at, schedule_id);
CREATE INDEX schedules_unfinished ON schedules (leased_until) WHERE state = 'OPENING';
CREATE INDEX schedules_being_closed ON schedules (leased_until) WHERE closing_at IS NOT NULL AND closed_at IS NULL;
CREATE INDEX schedules_being_canceled ON schedules (leased_until) WHERE canceling_at IS NOT NULL AND canceled_at IS NULL;

-- What a request with an idempotency key made. A row lives as long as the thing that it names.
CREATE TABLE idempotency_keys (
    user_id      uuid        NOT NULL,
    route        text        NOT NULL CONSTRAINT idempotency_keys_route_is_known CHECK (route IN ('CreateVenue', 'CreateConcert', 'CreateSchedule')),
    key          text        NOT NULL CONSTRAINT idempotency_keys_are_1_to_255_characters CHECK (char_length(key) BETWEEN 1 AND 255),
    -- SHA-256 of the request, to refuse another one under the same key.
    request_hash bytea       NOT NULL CONSTRAINT idempotency_keys_request_hash_is_a_sha_256 CHECK (octet_length(request_hash) = 32),
    resource_id  uuid        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT frontrow_now(),
    -- One effect per user, route and key.
    CONSTRAINT idempotency_keys_have_one_effect PRIMARY KEY (user_id, route, key)
);

-- What organisers did; each entry is written in the transaction of its act, an act of another service before it is asked
-- of that service. Details are what was asked for, without secrets.
CREATE TABLE audit_log (
    entry_id     bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT audit_log_has_an_order PRIMARY KEY,
    organiser_id uuid        NOT NULL,
    act          text        NOT NULL CONSTRAINT audit_log_act_is_known CHECK (act IN
                             ('VENUE_CREATED', 'CONCERT_CREATED', 'SCHEDULE_CREATED', 'WAITING_ROOM_CHANGED', 'SCHEDULE_CLOSED',
                              'SCHEDULE_CANCELED')),
    target_id    uuid        NOT NULL,
    at           timestamptz NOT NULL DEFAULT frontrow_now(),
    -- Members with names, bounded: an entry says what was done, it does not keep a copy.
    details      jsonb       NOT NULL CONSTRAINT audit_log_details_are_a_small_object
                             CHECK (jsonb_typeof(details) = 'object' AND octet_length(details::text) <= 16384)
);
CREATE INDEX audit_log_of_an_organiser ON audit_log (organiser_id, entry_id DESC);

CREATE FUNCTION refuse_to_rewrite() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
END
$$;

-- What was done is neither changed nor deleted.
CREATE TRIGGER audit_log_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite();
