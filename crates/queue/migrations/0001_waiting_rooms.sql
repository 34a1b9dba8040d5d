-- Waiting rooms, who was let in, and what must outlive Redis: numbers reserved, numbers called, pages taken.

-- One line per concert. Redis keeps the line itself; this row keeps what it may never contradict.
CREATE TABLE rooms (
    concert_id       uuid        PRIMARY KEY,
    capacity         integer     NOT NULL,
    admit_per_second integer     NOT NULL,
    -- Nobody is called before; absent = open.
    opens_at         timestamptz,
    -- Every number up to this one was called. Written before anybody is told.
    serving          bigint      NOT NULL DEFAULT 0,
    -- Every number up to this one was surely given to somebody.
    issued_to        bigint      NOT NULL DEFAULT 0,
    -- Redis gives numbers up to this one; it may have given them or not.
    reserved_to      bigint      NOT NULL DEFAULT 0,
    -- Which filling of Redis is the valid one. A visit is admitted only under the epoch that counted it.
    epoch            bigint      NOT NULL DEFAULT 0,

    -- A room lets somebody in, and its count fits everywhere.
    CONSTRAINT rooms_capacity_is_bounded CHECK (capacity BETWEEN 1 AND 1000000),
    -- A room moves, and a tick of it stays small.
    CONSTRAINT rooms_pace_is_bounded CHECK (admit_per_second BETWEEN 1 AND 100000),
    -- Only given numbers are called, only reserved numbers are given.
    CONSTRAINT rooms_numbers_are_in_order CHECK (0 <= serving AND serving <= issued_to AND issued_to <= reserved_to)
) WITH (fillfactor = 50);

-- One admitted stay of one user. A place that was given up before its turn leaves a row too, EXPIRED and never
-- admitted, so that its number stays over whatever happens to Redis.
CREATE TABLE visits (
    visit_id         uuid        PRIMARY KEY,
    concert_id       uuid        NOT NULL REFERENCES rooms,
    user_id          uuid        NOT NULL,
    number           bigint      NOT NULL,
    state            text        NOT NULL,
    admitted_at      timestamptz,
    -- When the page ends; it never moves.
    page_ends_at     timestamptz,
    -- A hold is being made: until then the sweep spares the visit.
    hold_lease_until timestamptz,
    ended_at         timestamptz,
    version          bigint      NOT NULL DEFAULT 1,

    -- A number is admitted once, or given up once: the two exclude each other here.
    CONSTRAINT visits_number_is_used_once UNIQUE (concert_id, number),
    -- Only the states of the machine.
    CONSTRAINT visits_state_is_known CHECK (state IN ('PAGE', 'PAYMENT', 'COMPLETED', 'EXPIRED')),
    -- Numbers begin at 1.
    CONSTRAINT visits_number_is_positive CHECK (number >= 1),
    -- Only a place that was given up was never admitted; who is admitted has a page that ends later.
    CONSTRAINT visits_are_admitted_unless_given_up CHECK (
        CASE WHEN admitted_at IS NULL
            THEN state = 'EXPIRED' AND page_ends_at IS NULL
            ELSE page_ends_at IS NOT NULL AND page_ends_at > admitted_at
        END
    ),
    -- What is over says since when, what is not does not.
    CONSTRAINT visits_end_with_their_state CHECK ((state IN ('COMPLETED', 'EXPIRED')) = (ended_at IS NOT NULL)),
    -- Only a page can be spared by the sweep.
    CONSTRAINT visits_lease_is_of_a_page CHECK (hold_lease_until IS NULL OR state = 'PAGE')
) WITH (fillfactor = 80);

-- Promise 13: one live visit per user and concert.
CREATE UNIQUE INDEX visits_user_has_one_live ON visits (concert_id, user_id) WHERE state IN ('PAGE', 'PAYMENT');
-- The sweep looks here.
CREATE INDEX visits_page_ends ON visits (page_ends_at) WHERE state = 'PAGE';
-- Counting and listing who is on a page.
CREATE INDEX visits_on_page ON visits (concert_id, number) WHERE state = 'PAGE';

-- When numbers were called, as ranges: who does not come is judged by it, also when Redis has forgotten.
-- Ranges older than any late window are deleted.
CREATE TABLE calls (
    concert_id   uuid        NOT NULL REFERENCES rooms,
    after_number bigint      NOT NULL,
    to_number    bigint      NOT NULL,
    called_at    timestamptz NOT NULL,

    PRIMARY KEY (concert_id, to_number),
    -- A call calls somebody.
    CONSTRAINT calls_are_not_empty CHECK (after_number < to_number)
);
CREATE INDEX calls_by_age ON calls (called_at);

-- Numbers that a lost Redis may have given. The line passes over them without keeping places; who holds one comes in
-- as a late comer.
CREATE TABLE doubtful_numbers (
    concert_id   uuid   NOT NULL REFERENCES rooms,
    after_number bigint NOT NULL,
    to_number    bigint NOT NULL,

    PRIMARY KEY (concert_id, to_number),
    -- A range holds something.
    CONSTRAINT doubtful_numbers_are_not_empty CHECK (after_number < to_number)
);
