-- Seats of a date, who holds them, and what others must still be told. Deadlines are compared with frontrow_now().
--
-- Lock order of every transaction that writes: idempotency key, the sale of the schedule (shared; alone to close or
-- cancel it), reservation (and its visit), user_schedule_seats in the order (user_id, schedule_id), reservation_seats in
-- the order (schedule_id, seat_id), outboxes. A transaction that waits for a seat already has its user's count, so no two
-- can wait for each other.

-- ---------------------------------------------------------------------------------------------------------------------
-- What is on sale: written once by OpenSchedule, and never changed but for the end of the sale and the date's
-- cancellation.

CREATE TABLE schedules (
    schedule_id  uuid        PRIMARY KEY,
    concert_id   uuid        NOT NULL,
    currency     text        NOT NULL
        -- A currency is the three letters of ISO 4217.
        CONSTRAINT schedules_currency_is_three_letters CHECK (currency ~ '^[A-Z]{3}$'),
    seats        integer     NOT NULL
        -- A date without seats cannot be sold, and one of more seats is beyond what a hall has.
        CONSTRAINT schedules_seats_within_bounds CHECK (seats BETWEEN 1 AND 100000),
    -- When the concert begins; the refund policy counts back from it.
    starts_at    timestamptz NOT NULL,
    content_hash bytea       NOT NULL
        -- SHA-256 of all that was opened; opening again with the same content is recognised by it.
        CONSTRAINT schedules_content_hash_is_sha_256 CHECK (octet_length(content_hash) = 32),
    opened_at    timestamptz NOT NULL DEFAULT frontrow_now(),
    -- When the sale ended; null while it goes on.
    closed_at    timestamptz
        -- A sale ends after it has begun.
        CONSTRAINT schedules_close_after_they_opened CHECK (closed_at >= opened_at),
    -- When the date was canceled, for good; null while it stands.
    canceled_at  timestamptz,
    -- When nothing paid of a canceled date was left whose refund had not begun; none comes after.
    refunds_begun_at timestamptz,
    -- Nothing of a canceled date is on sale.
    CONSTRAINT schedules_canceled_are_closed CHECK (canceled_at IS NULL OR closed_at IS NOT NULL),
    -- Until a date is canceled, more of it may be paid.
    CONSTRAINT schedules_refunds_begun_of_canceled CHECK (refunds_begun_at IS NULL OR canceled_at IS NOT NULL)
);

-- Dates whose holds are to be given up.
CREATE INDEX schedules_canceled ON schedules (canceled_at) WHERE canceled_at IS NOT NULL;
-- Dates whose payments are to be refunded.
CREATE INDEX schedules_to_refund ON schedules (schedule_id)
    WHERE canceled_at IS NOT NULL AND refunds_begun_at IS NULL;

-- The refund policy of a date: whoever cancels at least this long before the beginning gets this share back.
CREATE TABLE refund_tiers (
    schedule_id        uuid    NOT NULL
        CONSTRAINT refund_tiers_are_of_a_schedule REFERENCES schedules,
    hours_before_start integer NOT NULL
        -- A time before the beginning, ten years at most.
        CONSTRAINT refund_tiers_hours_within_bounds CHECK (hours_before_start BETWEEN 0 AND 87600),
    percent            integer NOT NULL
        -- A tier gives something back, and never more than all.
        CONSTRAINT refund_tiers_percent_within_bounds CHECK (percent BETWEEN 1 AND 100),
    -- No two tiers of a date share a time, so that one of them decides.
    CONSTRAINT refund_tiers_pkey PRIMARY KEY (schedule_id, hours_before_start)
);

-- What the refund policy of a date gives back to whoever asked at this time, or now when that is earlier or no time was
-- said: the share of the longest time that is still met; null when none is.
CREATE FUNCTION refund_share(of_schedule uuid, asked_at timestamptz) RETURNS integer
    LANGUAGE sql STABLE
    AS $$
        SELECT percent FROM schedules JOIN refund_tiers USING (schedule_id)
        WHERE schedule_id = of_schedule
              AND least(asked_at, frontrow_now()) <= starts_at - make_interval(hours => hours_before_start)
        ORDER BY hours_before_start DESC LIMIT 1
    $$;

-- The advisory lock of a schedule's sale: holds, payments and cancellations share it until they are committed, closing
-- the sale or canceling the date has it alone. It is a lock and no row lock, so that the holds of an on-sale write nothing
-- to meet there.
CREATE FUNCTION sale_lock(of_schedule uuid) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    -- The cast makes it as immutable as it says, without which it is planned at every call.
    AS $$ SELECT hashtextextended('sale of ' || of_schedule::text, 0) $$;

-- Whether the sale goes on; from a yes to the end of the transaction nobody can close it.
CREATE FUNCTION sale_is_open(of_schedule uuid) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(sale_lock(of_schedule));
    -- A statement of its own, which sees what was committed while the lock was waited for.
    RETURN EXISTS (SELECT FROM schedules WHERE schedule_id = of_schedule AND closed_at IS NULL);
END
$$;

-- Whether the date was canceled; from a no to the end of the transaction nobody can cancel it.
CREATE FUNCTION date_is_canceled(of_schedule uuid) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(sale_lock(of_schedule));
    -- A statement of its own, which sees what was committed while the lock was waited for.
    RETURN EXISTS (SELECT FROM schedules WHERE schedule_id = of_schedule AND canceled_at IS NOT NULL);
END
$$;

CREATE TABLE seats (
    schedule_id uuid    NOT NULL
        CONSTRAINT seats_are_of_a_schedule REFERENCES schedules,
    seat_id     uuid    NOT NULL,
    seat_index  integer NOT NULL
        -- Positions in the layout begin at 0.
        CONSTRAINT seats_index_is_not_negative CHECK (seat_index >= 0),
    grade       text    NOT NULL
        -- A price class has a name of 1 to 64 characters.
        CONSTRAINT seats_grade_has_a_name CHECK (char_length(grade) BETWEEN 1 AND 64),
    price       bigint  NOT NULL
        -- A seat may be free of charge but never pays its buyer.
        CONSTRAINT seats_price_is_not_negative CHECK (price >= 0),
    CONSTRAINT seats_pkey PRIMARY KEY (schedule_id, seat_id),
    -- Compact answers name a seat by its index, so no two seats share one.
    CONSTRAINT seats_index_is_unique UNIQUE (schedule_id, seat_index)
);

-- ---------------------------------------------------------------------------------------------------------------------
-- Who holds and owns.

CREATE TABLE reservations (
    reservation_id      uuid        PRIMARY KEY,
    -- No foreign key of its own: its seats have one, and a share lock on one schedule's row by every hold of an on-sale
    -- would make them all meet there.
    schedule_id         uuid        NOT NULL,
    concert_id          uuid        NOT NULL,
    user_id             uuid        NOT NULL,
    visit_id            uuid        NOT NULL
        -- A visit makes one hold, ever: a second one is page-left, also when queue has not heard of the first.
        CONSTRAINT reservations_one_per_visit UNIQUE,
    queue_number        bigint      NOT NULL
        -- Places in line begin at 1.
        CONSTRAINT reservations_queue_number_is_positive CHECK (queue_number >= 1),
    state               text        NOT NULL DEFAULT 'PENDING'
        -- The words of the state machine; there is no other state.
        CONSTRAINT reservations_state_is_known
        CHECK (state IN ('PENDING', 'PAYING', 'CONFIRMED', 'EXPIRED', 'CANCELED')),
    version             bigint      NOT NULL DEFAULT 1
        -- The fence grows from 1.
        CONSTRAINT reservations_version_is_positive CHECK (version >= 1),
    total               bigint      NOT NULL
        -- A sum of prices that are not negative.
        CONSTRAINT reservations_total_is_not_negative CHECK (total >= 0),
    currency            text        NOT NULL
        -- A currency is the three letters of ISO 4217.
        CONSTRAINT reservations_currency_is_three_letters CHECK (currency ~ '^[A-Z]{3}$'),
    created_at          timestamptz NOT NULL,
    expires_at          timestamptz NOT NULL,
    -- When the reservation lapses by itself: a hold at expires_at, a payment in progress at the end of its grace; null
    -- when it never does.
    lapses_at           timestamptz,
    -- The payment that runs or succeeded.
    payment_id          uuid,
    paying_since        timestamptz,
    -- The payment's outcome is not known yet: nobody may sell the seats before it is.
    payment_unknown     boolean     NOT NULL DEFAULT false,
    -- The last payment that ended without success; it can not begin again.
    released_payment_id uuid,
    attempt             integer     NOT NULL DEFAULT 1
        -- The first card attempt is number 1.
        CONSTRAINT reservations_attempt_is_positive CHECK (attempt >= 1),
    -- How a paid reservation was canceled: for which refund, when, the share of the total that goes back, whether the
    -- whole date was canceled, and when all of it was back where it came from.
    refund_id           uuid,
    canceled_at         timestamptz,
    refund_percent      integer
        -- A cancellation gives something back, and never more than all.
        CONSTRAINT reservations_refund_percent_within_bounds CHECK (refund_percent BETWEEN 1 AND 100),
    with_schedule       boolean     NOT NULL DEFAULT false,
    refunded_at         timestamptz,
    -- What goes back, in the currency's smallest unit.
    refund              bigint      GENERATED ALWAYS AS (total * refund_percent / 100) STORED,

    -- What is to be paid within no time could never be paid.
    CONSTRAINT reservations_end_after_their_making CHECK (expires_at > created_at),
    -- A payment belongs to a reservation while it runs and after it succeeded; a canceled one that was paid has a refund.
    CONSTRAINT reservations_payment_when_paying_or_paid CHECK (
        CASE state
            WHEN 'PENDING'  THEN payment_id IS NULL
            WHEN 'EXPIRED'  THEN payment_id IS NULL
            WHEN 'CANCELED' THEN (payment_id IS NOT NULL) = (refund_id IS NOT NULL)
            ELSE payment_id IS NOT NULL
        END
    ),
    -- Only what was paid and then canceled has a refund.
    CONSTRAINT reservations_refund_when_canceled CHECK (refund_id IS NULL OR state = 'CANCELED'),
    -- A cancellation is told whole: its refund, its time and its share.
    CONSTRAINT reservations_cancellation_is_whole CHECK (
        (refund_id IS NULL) = (canceled_at IS NULL) AND (refund_id IS NULL) = (refund_percent IS NULL)
    ),
    -- A canceled date gives everything back.
    CONSTRAINT reservations_with_schedule_in_full CHECK (NOT with_schedule OR refund_percent IS NOT DISTINCT FROM 100),
    -- Only the money of a refund comes back.
    CONSTRAINT reservations_refunded_when_a_refund CHECK (refunded_at IS NULL OR refund_id IS NOT NULL),
    -- The time a payment began is kept exactly while it runs: grace is counted from it.
    CONSTRAINT reservations_paying_since_while_paying CHECK ((paying_since IS NOT NULL) = (state = 'PAYING')),
    -- Only a payment that runs can have an unknown outcome.
    CONSTRAINT reservations_unknown_only_while_paying CHECK (NOT payment_unknown OR state = 'PAYING'),
    -- Exactly what can lapse has a time to lapse: holds, and payments whose outcome is not unknown.
    CONSTRAINT reservations_lapse_while_unpaid CHECK (
        (lapses_at IS NOT NULL) = (state = 'PENDING' OR (state = 'PAYING' AND NOT payment_unknown))
    ),
    -- A hold lapses at its announced end; a payment never earlier than that.
    CONSTRAINT reservations_lapse_at_their_end CHECK (
        CASE state WHEN 'PENDING' THEN lapses_at = expires_at ELSE lapses_at >= expires_at END
    ),
    -- The target of reservation_seats' key: a seat's schedule is its reservation's.
    CONSTRAINT reservations_schedule_key UNIQUE (reservation_id, schedule_id)
);

-- What is due, oldest first.
CREATE INDEX reservations_by_lapse ON reservations (lapses_at) WHERE lapses_at IS NOT NULL;
-- A user's reservations, newest first: the ids are ordered by time.
CREATE INDEX reservations_by_user ON reservations (user_id, reservation_id DESC);
-- What a canceled date still has to give up and to refund, and what it has refunded.
CREATE INDEX reservations_by_schedule ON reservations (schedule_id, state, reservation_id) WHERE state <> 'EXPIRED';
-- What is or was paid, in the order of its making.
CREATE INDEX reservations_paid ON reservations (reservation_id) WHERE state = 'CONFIRMED' OR refund_id IS NOT NULL;
-- A refund is of one reservation.
CREATE UNIQUE INDEX reservations_one_per_refund ON reservations (refund_id) WHERE refund_id IS NOT NULL;

-- Rows are never deleted, and every committed change of a seat adds exactly 1 to one row's version: the version of a
-- schedule is the sum of the versions of its rows, a function of committed state alone that strictly grows.
CREATE TABLE reservation_seats (
    reservation_id uuid    NOT NULL,
    schedule_id    uuid    NOT NULL,
    seat_id        uuid    NOT NULL,
    -- Index, grade and price as they were when the seat was taken.
    seat_index     integer NOT NULL,
    grade          text    NOT NULL,
    price          bigint  NOT NULL
        -- A seat may be free of charge but never pays its buyer.
        CONSTRAINT reservation_seats_price_is_not_negative CHECK (price >= 0),
    state          text    NOT NULL DEFAULT 'PENDING'
        -- Held, sold, or back on sale.
        CONSTRAINT reservation_seats_state_is_known CHECK (state IN ('PENDING', 'OCCUPIED', 'RELEASED')),
    version        integer NOT NULL DEFAULT 1
        -- Held 1; sold or released 2; released after a sale 3.
        CONSTRAINT reservation_seats_version_is_within_bounds CHECK (version BETWEEN 1 AND 3),
    -- A reservation names a seat once.
    CONSTRAINT reservation_seats_pkey PRIMARY KEY (reservation_id, seat_id),
    CONSTRAINT reservation_seats_are_of_a_reservation
        FOREIGN KEY (reservation_id, schedule_id) REFERENCES reservations (reservation_id, schedule_id),
    CONSTRAINT reservation_seats_are_seats_of_the_schedule
        FOREIGN KEY (schedule_id, seat_id) REFERENCES seats (schedule_id, seat_id)
);

-- A seat of a date has at most one live owner, in every committed state.
CREATE UNIQUE INDEX reservation_seats_one_live_owner ON reservation_seats (schedule_id, seat_id)
    WHERE state <> 'RELEASED';
CREATE INDEX reservation_seats_by_schedule ON reservation_seats (schedule_id);

-- How many seats of a date a user holds or owns; counted in the transaction that takes or gives back.
CREATE TABLE user_schedule_seats (
    user_id     uuid    NOT NULL,
    schedule_id uuid    NOT NULL,
    held        integer NOT NULL
        -- Nobody holds or owns more than 4 seats of a date.
        CONSTRAINT user_schedule_seats_within_the_cap CHECK (held BETWEEN 0 AND 4),
    CONSTRAINT user_schedule_seats_pkey PRIMARY KEY (user_id, schedule_id)
);

-- Holds that were asked for with an Idempotency-Key, written in the hold's own transaction; kept for a day.
CREATE TABLE idempotency (
    user_id        uuid        NOT NULL,
    key            text        NOT NULL
        -- Keys have 1 to 255 characters.
        CONSTRAINT idempotency_key_has_a_bounded_length CHECK (char_length(key) BETWEEN 1 AND 255),
    request_hash   bytea       NOT NULL
        -- SHA-256 of what was asked for: another body under the same key is refused.
        CONSTRAINT idempotency_request_hash_is_sha_256 CHECK (octet_length(request_hash) = 32),
    reservation_id uuid        NOT NULL
        -- Deferred, as the key is written first: a second request waits here before it does anything.
        CONSTRAINT idempotency_names_a_reservation REFERENCES reservations DEFERRABLE INITIALLY DEFERRED,
    created_at     timestamptz NOT NULL DEFAULT frontrow_now(),
    CONSTRAINT idempotency_pkey PRIMARY KEY (user_id, key)
);

CREATE INDEX idempotency_by_age ON idempotency (created_at);

-- ---------------------------------------------------------------------------------------------------------------------
-- What others must still be told. A row is written in the transaction of its cause, leased by whoever tells it, and
-- deleted when that is done; a lease that ran out is taken up by the next.

-- Messages that bring the end of a hold to mind, to be published to RabbitMQ.
CREATE TABLE expiry_outbox (
    reservation_id uuid        PRIMARY KEY
        CONSTRAINT expiry_outbox_is_of_a_reservation REFERENCES reservations,
    expires_at     timestamptz NOT NULL,
    -- W3C trace context of the hold, so that one trace reaches to the worker.
    trace_parent   text,
    leased_until   timestamptz NOT NULL DEFAULT frontrow_now()
);

CREATE INDEX expiry_outbox_by_lease ON expiry_outbox (leased_until);

-- What queue must learn of a visit.
CREATE TABLE visit_outbox (
    notice_id    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    visit_id     uuid        NOT NULL,
    notice       text        NOT NULL
        -- The page ended with a hold; the visit ended with or without a purchase.
        CONSTRAINT visit_outbox_notice_is_known CHECK (notice IN ('PAGE_ENDED', 'COMPLETED', 'EXPIRED')),
    attempts     integer     NOT NULL DEFAULT 0
        -- Tries by the relay; they set its pace, never an end.
        CONSTRAINT visit_outbox_attempts_are_not_negative CHECK (attempts >= 0),
    leased_until timestamptz NOT NULL,
    -- A visit is told each thing once.
    CONSTRAINT visit_outbox_one_of_a_kind UNIQUE (visit_id, notice)
);

CREATE INDEX visit_outbox_by_lease ON visit_outbox (leased_until);
