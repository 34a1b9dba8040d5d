"""What schemathesis cannot know of this API: who asks, and which ids exist.

Every generated request is sent as somebody who may make it, with tokens that are live, and most ids that are well
formed are replaced by ids of things that exist, so that requests get past the first refusal. What is wrong with a
request on purpose stays wrong.
"""

import itertools
import time
import uuid

import requests
import schemathesis

PASSWORD = "frontrow-demo-1"
CALL_SECONDS = 20
TURN_SECONDS = 20


class Api:
    """The people and things that requests are made with; made when first asked for, and again when used up."""

    def __init__(self, base):
        self.base = base
        self.buyers = itertools.count(1)
        self.requests = itertools.count(1)
        self.run = uuid.uuid4().hex
        self.organiser = self.log_in("organiser@frontrow.test")
        self.venue = self.make("/v1/admin/venues", {"name": "Hall", "plan": plan()})["venueId"]
        concert = {
            "title": "Fuzzed",
            "venueId": self.venue,
            "currency": "KRW",
            "prices": {"R": 10_000},
            "waitingRoom": {"capacity": 1_000_000, "admitPerSecond": 100_000},
        }
        self.concert = self.make("/v1/admin/concerts", concert)["concertId"]
        # This one is changed, closed and canceled by the requests; nobody waits for it.
        self.other_concert = self.make("/v1/admin/concerts", concert)["concertId"]
        date = {"startsAt": "2090-01-01T19:00:00Z"}
        self.schedule, self.other_schedule = (
            self.make(f"/v1/admin/concerts/{concert}/schedules", date)["scheduleId"]
            for concert in (self.concert, self.other_concert)
        )
        self.seats = []
        self.buyer = None
        self.queue_token = None
        self.reservation = None
        self.holder = None
        self.paid = None
        self.paid_by = None

    def call(self, method, path, body=None, **headers):
        answer = requests.request(
            method, self.base + path, json=body, headers=headers, timeout=CALL_SECONDS
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def make(self, path, body):
        return self.call("POST", path, body, Authorization=self.organiser)

    def log_in(self, email):
        session = self.call("POST", "/v1/auth/login", {"email": email, "password": PASSWORD})
        return f"Bearer {session['accessToken']}"

    def admitted(self):
        """A buyer on the page of the concert."""
        if self.queue_token is None:
            email = f"buyer-{self.run}-{next(self.buyers)}@example.test"
            account = {"email": email, "password": PASSWORD, "name": "Buyer"}
            self.call("POST", "/v1/auth/signup", account)
            self.buyer = self.log_in(email)
            joined = self.call(
                "POST", f"/v1/concerts/{self.concert}/queue-tokens", Authorization=self.buyer
            )
            self.queue_token = joined["queueToken"]
            end = time.monotonic() + TURN_SECONDS
            while self.call("GET", "/v1/queue", **self.queue())["status"] != "PROCESSING":
                assert time.monotonic() < end, "the buyer was not let in"
                time.sleep(0.05)
        return {"Authorization": self.buyer, **self.queue()}

    def queue(self):
        return {"Queue-Token": self.queue_token}

    def free_seat(self):
        if not self.seats:
            seats = self.call("GET", f"/v1/schedules/{self.schedule}/seats", **self.admitted())
            self.seats = [
                seat["seatId"] for seat in seats["seats"] if seat["status"] == "AVAILABLE"
            ]
        return self.seats[0]

    def payable(self):
        """A hold that can be paid, with its payment token."""
        if self.reservation is None:
            hold = {"scheduleId": self.schedule, "seatIds": [self.free_seat()]}
            self.reservation = self.call("POST", "/v1/reservations", hold, **self.admitted())
            self.holder = self.buyer
            self.seats.pop(0)
            self.queue_token = None
        return self.reservation


def plan():
    seats = [
        {
            "seat_guid": f"{number}",
            "seat_number": f"{number}",
            "position": {"x": number, "y": 0},
            "category": "R",
        }
        for number in range(1, 501)
    ]
    row = {"row_number": "A", "position": {"x": 0, "y": 0}, "seats": seats}
    zone = {"name": "Floor", "position": {"x": 0, "y": 0}, "rows": [row], "areas": []}
    return {
        "name": "Hall",
        "categories": [{"name": "R", "color": "#ffffff"}],
        "zones": [zone],
        "size": {"width": 100, "height": 100},
    }


API = None


def api(base):
    global API
    if API is None:
        API = Api(base.rstrip("/"))
    return API


def is_id(value):
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value.lower()
    except ValueError:
        return False


def is_text(value, shortest, longest):
    return isinstance(value, str) and shortest <= len(value) <= longest


@schemathesis.hook
def before_call(context, case, kwargs):
    known = api(kwargs["base_url"] if "base_url" in kwargs else case.operation.base_url)
    path = case.operation.path
    headers = case.headers if case.headers is not None else {}
    if path.startswith("/v1/admin/"):
        mine = {"Authorization": known.organiser}
    elif path == "/v1/payments":
        mine = {"Payment-Token": known.payable()["paymentToken"]}
    elif path.endswith("/cancellation") and known.paid is not None:
        mine = {"Authorization": known.paid_by}
    elif path.startswith("/v1/reservations/"):
        known.payable()
        mine = {"Authorization": known.holder}
    else:
        mine = known.admitted()
    for name, value in mine.items():
        headers[name] = value
    case.headers = headers

    # One in five keeps the ids that were made up.
    if next(known.requests) % 5 == 0:
        return
    is_changed = path.startswith("/v1/admin/") and not path.endswith("/schedules")
    concert = known.other_concert if is_changed else known.concert
    exist = {
        "concertId": concert,
        "scheduleId": known.other_schedule if is_changed else known.schedule,
        "venueId": known.venue,
    }
    if path == "/v1/payments" or path.startswith("/v1/reservations/"):
        exist["reservationId"] = known.payable()["reservationId"]
    if path.endswith("/cancellation") and known.paid is not None:
        exist["reservationId"] = known.paid
    for place in (case.path_parameters, case.body):
        if isinstance(place, dict):
            for name, value in exist.items():
                if is_id(place.get(name)):
                    place[name] = value
    if path == "/v1/reservations" and isinstance(case.body, dict):
        seats = case.body.get("seatIds")
        if isinstance(seats, list) and seats and all(map(is_id, seats)):
            case.body["seatIds"] = [known.free_seat()]
    if path in ("/v1/payments", "/v1/wallet/charges") and isinstance(case.body, dict):
        card = case.body.get("card")
        # The provider's stand-in knows cards by the beginning of their key.
        if isinstance(card, dict) and is_text(card.get("paymentKey"), 1, 100):
            card["paymentKey"] = f"test_ok_{card['paymentKey']}"
            card.pop("orderId", None)
            if case.body.get("points") in range(1, 1_000_000):
                case.body["points"] = 0
    if path == "/v1/admin/venues" and isinstance(case.body, dict):
        if case.body.get("plan") == {}:
            case.body["plan"] = plan()
    if path == "/v1/admin/concerts" and isinstance(case.body, dict):
        prices = case.body.get("prices")
        if isinstance(prices, dict) and all(type(price) is int for price in prices.values()):
            case.body["prices"] = {"R": next(iter(prices.values()), 10_000)}


@schemathesis.hook
def after_call(context, case, response):
    known = API
    path = case.operation.path
    if path == "/v1/reservations" and response.status_code == 201:
        known.seats.pop(0)
        known.queue_token = None
    elif case.method == "DELETE" and path == "/v1/queue":
        known.queue_token = None
    elif path == "/v1/payments" and response.status_code in (201, 202):
        known.paid, known.paid_by = known.reservation["reservationId"], known.holder
        known.reservation = None
    elif case.method == "DELETE" and response.status_code == 204:
        known.reservation = None
    elif response.status_code == 410:
        known.queue_token = None
        known.reservation = None


@schemathesis.check
def no_fault_of_ours(ctx, response, case):
    """500 is for declined cards alone; 503 says when to come again."""
    if response.status_code < 500:
        return
    code = response.json().get("code")
    if response.status_code == 500 and code == "payment-failed":
        return
    if response.status_code == 503 and "retry-after" in response.headers:
        return
    raise AssertionError(f"{response.status_code} {code}")


@schemathesis.check
def code_is_described(ctx, response, case):
    """A refusal carries one of the codes that the document lists for its status."""
    if response.status_code < 400:
        return
    described = case.operation.definition.raw["responses"].get(str(response.status_code), {})
    code = response.json().get("code")
    # Every route has methods that it has not.
    if code == "method-not-allowed" and "allow" in response.headers:
        return
    if code not in described.get("x-problem-codes", []):
        raise AssertionError(f"{response.status_code} {code} is not described")
