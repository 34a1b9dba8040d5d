-- Buyers' money: payments in flight and ended, and the ledger that says where every won and every point is.
-- Times are those of frontrow_now(), amounts whole won (1 point = 1 won).

-- What the ledger comes to for one user; kept by the ledger's own trigger, in the statement that moves the money.
CREATE TABLE wallets (
    user_id uuid   PRIMARY KEY,
    balance bigint NOT NULL DEFAULT 0,
    pending bigint NOT NULL DEFAULT 0,

    -- Nobody spends points that they do not have.
    CONSTRAINT wallets_balance_is_not_negative CHECK (balance >= 0),
    -- Nothing is given back or posted that was not set aside before.
    CONSTRAINT wallets_pending_is_not_negative CHECK (pending >= 0)
) WITH (fillfactor = 80);

-- One try to pay one reservation, and how far it got.
CREATE TABLE payments (
    payment_id      uuid        PRIMARY KEY,
    reservation_id  uuid        NOT NULL,
    user_id         uuid        NOT NULL,
    state           text        NOT NULL,
    -- Grows with every transition and every change of hands; every change demands it.
    version         bigint      NOT NULL DEFAULT 1,
    points          bigint      NOT NULL,
    card_amount     bigint      NOT NULL,
    currency        text        NOT NULL,
    -- The order that the card was authenticated for.
    order_id        text,
    -- The provider's key of the card payment; kept while the provider may have to be asked again.
    payment_key     text,
    -- The reservation's version that booking demands of this payment.
    fence           bigint,
    -- Which answered try the provider is asked for; part of its Idempotency-Key.
    attempt         integer     NOT NULL DEFAULT 1,
    -- Waits since the last transition; they lengthen the next one.
    tries           integer     NOT NULL DEFAULT 0,
    failure_code    text,
    -- The order that the next card attempt is for, as booking named it when it took the hold back.
    next_order_id   text,
    idempotency_key text,
    request_hash    bytea,
    created_at      timestamptz NOT NULL DEFAULT frontrow_now(),
    asked_at        timestamptz,
    captured_at     timestamptz,
    ended_at        timestamptz,
    -- When anybody may take the payment up: the end of a lease, or of a wait.
    resume_at       timestamptz,
    -- When a hint of the provider last brought that forward; hints that follow too soon are ignored.
    hinted_at       timestamptz,

    -- The states of the machine, and no other word.
    CONSTRAINT payments_state_is_known CHECK (state IN (
        'CREATED', 'POINTS_TAKEN', 'CONFIRMING', 'UNKNOWN', 'CAPTURED', 'RELEASING', 'REFUNDING',
        'SUCCEEDED', 'FAILED', 'REFUNDED')),
    -- Money is never negative.
    CONSTRAINT payments_amounts_are_not_negative CHECK (points >= 0 AND card_amount >= 0),
    -- A point is a won.
    CONSTRAINT payments_points_pay_won CHECK (points = 0 OR currency = 'KRW'),
    -- A card pays for an order, and without a card there is none.
    CONSTRAINT payments_cards_have_an_order CHECK ((card_amount > 0) = (order_id IS NOT NULL)),
    -- Only a card payment is asked of the provider.
    CONSTRAINT payments_without_card_ask_nobody CHECK (
        card_amount > 0 OR state NOT IN ('CONFIRMING', 'UNKNOWN', 'CAPTURED', 'REFUNDING', 'REFUNDED')),
    -- The provider's key is kept exactly as long as it may be needed.
    CONSTRAINT payments_forget_the_key CHECK (
        (payment_key IS NOT NULL) = (card_amount > 0 AND state NOT IN ('SUCCEEDED', 'FAILED', 'REFUNDED'))),
    -- Nothing is taken before booking gave the fence.
    CONSTRAINT payments_carry_the_fence CHECK (fence IS NOT NULL OR state IN ('CREATED', 'FAILED')),
    -- A capture is recorded exactly where there was one.
    CONSTRAINT payments_captured_say_when CHECK (
        (captured_at IS NOT NULL)
        = (state IN ('CAPTURED', 'REFUNDING', 'REFUNDED') OR (state = 'SUCCEEDED' AND card_amount > 0))),
    -- Every failure has its reason, and only a failure has one.
    CONSTRAINT payments_failures_have_a_reason CHECK (
        (failure_code IS NOT NULL) = (state IN ('RELEASING', 'FAILED', 'REFUNDING', 'REFUNDED'))),
    -- What has ended is never taken up again; what has not will be.
    CONSTRAINT payments_end_for_good CHECK (
        (ended_at IS NOT NULL) = (state IN ('SUCCEEDED', 'FAILED', 'REFUNDED'))
        AND (resume_at IS NULL) = (state IN ('SUCCEEDED', 'FAILED', 'REFUNDED'))),
    -- A key is compared by the request that it came with.
    CONSTRAINT payments_keys_have_a_request CHECK ((idempotency_key IS NULL) = (request_hash IS NULL))
) WITH (fillfactor = 70);

-- These two say the state by columns that do not change on the way to success: such a step leaves all indexes as they are.
-- At most one payment of a reservation has not ended yet.
CREATE UNIQUE INDEX payments_one_open_per_reservation ON payments (reservation_id) WHERE ended_at IS NULL;
-- A reservation is paid once.
CREATE UNIQUE INDEX payments_one_success_per_reservation ON payments (reservation_id)
    WHERE ended_at IS NOT NULL AND failure_code IS NULL;
-- A user's Idempotency-Key has one effect.
CREATE UNIQUE INDEX payments_one_per_idempotency_key ON payments (user_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
-- What is due to be taken up, oldest first.
CREATE INDEX payments_to_resume ON payments (resume_at) WHERE resume_at IS NOT NULL;
-- What the provider calls by its order.
CREATE INDEX payments_of_an_order ON payments (order_id) WHERE order_id IS NOT NULL;

-- Points bought by card: one try each, and how far it got.
CREATE TABLE charges (
    charge_id       uuid        PRIMARY KEY,
    user_id         uuid        NOT NULL,
    state           text        NOT NULL,
    -- Grows with every transition and every change of hands; every change demands it.
    version         bigint      NOT NULL DEFAULT 1,
    -- Points, and won.
    amount          bigint      NOT NULL,
    -- The order that the card was authenticated for.
    order_id        text        NOT NULL,
    -- The provider's key of the card payment; kept while the provider may have to be asked again.
    payment_key     text,
    -- Which answered try the provider is asked for; part of its Idempotency-Key.
    attempt         integer     NOT NULL DEFAULT 1,
    -- Waits since the last transition; they lengthen the next one.
    tries           integer     NOT NULL DEFAULT 0,
    failure_code    text,
    idempotency_key text,
    request_hash    bytea,
    created_at      timestamptz NOT NULL DEFAULT frontrow_now(),
    asked_at        timestamptz,
    ended_at        timestamptz,
    -- When anybody may take the charge up: the end of a lease, or of a wait.
    resume_at       timestamptz,
    -- When a hint of the provider last brought that forward; hints that follow too soon are ignored.
    hinted_at       timestamptz,

    -- The states of the machine, and no other word.
    CONSTRAINT charges_state_is_known CHECK (state IN ('CREATED', 'CONFIRMING', 'UNKNOWN', 'SUCCEEDED', 'FAILED')),
    -- A charge buys something, and no fortune.
    CONSTRAINT charges_amount_is_within_bounds CHECK (amount BETWEEN 100 AND 10000000),
    -- A user's order is charged once; who names another's burns nothing, as the provider captures it for one key only.
    CONSTRAINT charges_order_is_used_once UNIQUE (order_id, user_id),
    -- The provider's key is kept exactly as long as it may be needed.
    CONSTRAINT charges_forget_the_key CHECK ((payment_key IS NOT NULL) = (state NOT IN ('SUCCEEDED', 'FAILED'))),
    -- Every failure has its reason, and only a failure has one.
    CONSTRAINT charges_failures_have_a_reason CHECK ((failure_code IS NOT NULL) = (state = 'FAILED')),
    -- What has ended is never taken up again; what has not will be.
    CONSTRAINT charges_end_for_good CHECK (
        (ended_at IS NOT NULL) = (state IN ('SUCCEEDED', 'FAILED'))
        AND (resume_at IS NULL) = (state IN ('SUCCEEDED', 'FAILED'))),
    -- A key is compared by the request that it came with.
    CONSTRAINT charges_keys_have_a_request CHECK ((idempotency_key IS NULL) = (request_hash IS NULL))
) WITH (fillfactor = 70);
-- A user's Idempotency-Key has one effect.
CREATE UNIQUE INDEX charges_one_per_idempotency_key ON charges (user_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
-- What is due to be taken up, oldest first.
CREATE INDEX charges_to_resume ON charges (resume_at) WHERE resume_at IS NOT NULL;

-- Money of canceled reservations on its way back to where it came from.
CREATE TABLE refunds (
    refund_id       uuid        PRIMARY KEY,
    -- The payment that is undone.
    payment_id      uuid        NOT NULL REFERENCES payments (payment_id),
    reservation_id  uuid        NOT NULL,
    user_id         uuid        NOT NULL,
    reason          text        NOT NULL,
    state           text        NOT NULL,
    -- Grows with every transition and every change of hands; every change demands it.
    version         bigint      NOT NULL DEFAULT 1,
    -- What goes back, and where to; known once booking has canceled the reservation.
    percent         integer,
    points          bigint,
    card_amount     bigint,
    currency        text        NOT NULL,
    -- The order of the card payment; none when only points paid.
    order_id        text,
    -- Which answered try the provider is asked for; part of its Idempotency-Key.
    attempt         integer     NOT NULL DEFAULT 1,
    -- Waits since the last transition; they lengthen the next one.
    tries           integer     NOT NULL DEFAULT 0,
    failure_code    text,
    idempotency_key text,
    request_hash    bytea,
    created_at      timestamptz NOT NULL DEFAULT frontrow_now(),
    ended_at        timestamptz,
    -- When anybody may take the refund up: the end of a lease, or of a wait.
    resume_at       timestamptz,
    -- When a hint of the provider last brought that forward; hints that follow too soon are ignored.
    hinted_at       timestamptz,

    -- The states of the machine, and no other word.
    CONSTRAINT refunds_state_is_known CHECK (state IN (
        'CREATED', 'SEATS_RETURNED', 'REFUNDING', 'MONEY_RETURNED', 'COMPLETED', 'REFUSED')),
    -- Asked for by the buyer, or because the organiser canceled the date.
    CONSTRAINT refunds_reason_is_known CHECK (reason IN ('BUYER', 'SCHEDULE_CANCELED')),
    -- What goes back is known exactly from the moment when the seats went back.
    CONSTRAINT refunds_amounts_are_known_in_time CHECK (
        num_nulls(percent, points, card_amount)
        = CASE WHEN state IN ('CREATED', 'REFUSED') THEN 3 ELSE 0 END),
    -- A share is a share, and money is never negative.
    CONSTRAINT refunds_amounts_are_within_bounds CHECK (percent BETWEEN 0 AND 100 AND points >= 0 AND card_amount >= 0),
    -- Only a card payment is given back by the provider.
    CONSTRAINT refunds_without_card_ask_nobody CHECK (
        (coalesce(card_amount, 0) = 0 OR order_id IS NOT NULL) AND (state <> 'REFUNDING' OR card_amount > 0)),
    -- Every refusal has its reason, and only a refusal has one.
    CONSTRAINT refunds_refusals_have_a_reason CHECK ((failure_code IS NOT NULL) = (state = 'REFUSED')),
    -- What has ended is never taken up again; what has not will be.
    CONSTRAINT refunds_end_for_good CHECK (
        (ended_at IS NOT NULL) = (state IN ('COMPLETED', 'REFUSED'))
        AND (resume_at IS NULL) = (state IN ('COMPLETED', 'REFUSED'))),
    -- A key is compared by the request that it came with.
    CONSTRAINT refunds_keys_have_a_request CHECK ((idempotency_key IS NULL) = (request_hash IS NULL))
) WITH (fillfactor = 70);
-- A payment is undone once; a refusal undoes nothing.
CREATE UNIQUE INDEX refunds_one_per_payment ON refunds (payment_id) WHERE state <> 'REFUSED';
-- What a buyer asks for by its reservation.
CREATE INDEX refunds_of_a_reservation ON refunds (reservation_id, refund_id DESC);
-- A user's Idempotency-Key has one effect.
CREATE UNIQUE INDEX refunds_one_per_idempotency_key ON refunds (user_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
-- What is due to be taken up, oldest first.
CREATE INDEX refunds_to_resume ON refunds (resume_at) WHERE resume_at IS NOT NULL;
-- What a hint of the provider is about.
CREATE INDEX refunds_open_by_order ON refunds (order_id) WHERE resume_at IS NOT NULL AND order_id IS NOT NULL;

-- The ledger. One row moves one amount from one account to another, so debits equal credits by its shape. An account is
-- a word, and for WALLET and HELD a word and a user; HOUSE, PROVIDER and GRANTS have no row anywhere that every payment
-- would have to wait for: their balance is summed when somebody asks.
CREATE TABLE transfers (
    transfer_id uuid        PRIMARY KEY,
    operation   text        NOT NULL,
    kind        text        NOT NULL,
    debit       text        NOT NULL,
    credit      text        NOT NULL,
    user_id     uuid        NOT NULL,
    amount      bigint      NOT NULL,
    -- The payment that it pays or undoes.
    payment_id  uuid        REFERENCES payments (payment_id),
    charge_id   uuid        REFERENCES charges (charge_id),
    refund_id   uuid        REFERENCES refunds (refund_id),
    created_at  timestamptz NOT NULL DEFAULT frontrow_now(),

    -- The same operation moves money once.
    CONSTRAINT transfers_operation_happens_once UNIQUE (operation),
    -- A transfer moves something, in the direction that it names.
    CONSTRAINT transfers_amount_is_positive CHECK (amount > 0),
    -- Each kind of transfer has its two accounts.
    CONSTRAINT transfers_kind_has_two_accounts CHECK ((kind, debit, credit) IN (
        ('GRANT',    'GRANTS',   'WALLET'),
        ('PURCHASE', 'WALLET',   'HELD'),
        ('RETURN',   'HELD',     'WALLET'),
        ('POST',     'HELD',     'HOUSE'),
        ('CAPTURE',  'PROVIDER', 'HOUSE'),
        ('REFUND',   'HOUSE',    'PROVIDER'),
        ('CHARGE',   'PROVIDER', 'WALLET'),
        ('REFUND_POINTS', 'HOUSE', 'WALLET'))),
    -- All but grants and charges belong to a payment.
    CONSTRAINT transfers_of_payments_name_them CHECK ((payment_id IS NULL) = (kind IN ('GRANT', 'CHARGE'))),
    -- Points that were bought belong to a charge.
    CONSTRAINT transfers_of_charges_name_them CHECK ((charge_id IS NOT NULL) = (kind = 'CHARGE')),
    -- Points of a paid reservation go back by a refund; card money also where a capture came too late.
    CONSTRAINT transfers_of_refunds_name_them CHECK (
        CASE kind WHEN 'REFUND' THEN true WHEN 'REFUND_POINTS' THEN refund_id IS NOT NULL ELSE refund_id IS NULL END)
);
-- One user's wallet history, newest first (transfer ids are ordered by time).
CREATE INDEX transfers_of_a_wallet ON transfers (user_id, transfer_id) WHERE debit = 'WALLET' OR credit = 'WALLET';
-- What one payment moved.
CREATE INDEX transfers_of_a_payment ON transfers (payment_id) WHERE payment_id IS NOT NULL;
-- What one charge moved.
CREATE INDEX transfers_of_a_charge ON transfers (charge_id) WHERE charge_id IS NOT NULL;

-- Keeps wallets what the ledger says they are; an overdrawn wallet refuses the whole statement.
CREATE FUNCTION follow_transfers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Two first touches at once: the later one waits here and adds to what the earlier one made.
    INSERT INTO wallets (user_id)
    SELECT DISTINCT user_id FROM posted
    WHERE ('WALLET' IN (debit, credit) OR 'HELD' IN (debit, credit))
          AND NOT EXISTS (SELECT FROM wallets WHERE wallets.user_id = posted.user_id)
    ORDER BY user_id
    ON CONFLICT (user_id) DO NOTHING;

    UPDATE wallets SET balance = balance + to_balance, pending = pending + to_pending
    FROM (
        SELECT user_id,
               sum(CASE 'WALLET' WHEN credit THEN amount WHEN debit THEN -amount ELSE 0 END)::bigint AS to_balance,
               sum(CASE 'HELD'   WHEN credit THEN amount WHEN debit THEN -amount ELSE 0 END)::bigint AS to_pending
        FROM posted
        WHERE 'WALLET' IN (debit, credit) OR 'HELD' IN (debit, credit)
        GROUP BY user_id ORDER BY user_id
    ) AS moved
    WHERE wallets.user_id = moved.user_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER transfers_move_wallets AFTER INSERT ON transfers REFERENCING NEW TABLE AS posted
    FOR EACH STATEMENT EXECUTE FUNCTION follow_transfers();

-- What was moved was moved: a mistake is answered by another transfer.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'transfers are immutable' USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER transfers_are_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON transfers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
