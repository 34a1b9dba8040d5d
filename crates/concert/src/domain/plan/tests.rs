use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

/// A plan as an editor writes it, with keys that the format does not name.
fn exported() -> Value {
    json!({
        "name": "Saal", "uuid": "0c5d", "size": {"width": 800, "height": 600, "unit": "px"},
        "backgroundImage": {"href": "data:image/png;base64,AAAA"},
        "categories": [
            {"name": "VIP", "color": "#f00", "display_order": 1},
            {"name": "unused and much longer than a grade may be: it is nobody's concern until a seat uses it"},
            {"name": "R석", "color": "#0f0"},
        ],
        "zones": [
            {"name": "Floor", "zone_id": "z0", "position": {"x": 100, "y": 50}, "areas": [{"shape": "circle"}], "rows": [
                {"row_number": "A", "row_number_position": "both", "position": {"x": 10, "y": 0}, "seats": [
                    {"seat_guid": "f-a-1", "seat_number": "1", "category": "R석", "position": {"x": 0, "y": 0}, "radius": 10},
                    {"seat_guid": "f-a-2", "seat_number": "2", "category": "VIP", "position": {"x": 20.5, "y": 1}},
                ]},
            ]},
            {"position": {"x": 0, "y": 300}, "rows": [
                {"row_number": "", "seats": [
                    {"seat_guid": "b-1", "seat_number": "", "category": "R석", "position": {"x": -5, "y": 0}},
                ]},
            ]},
        ],
    })
}

fn faults_of(plan: &Value) -> Vec<(String, String)> {
    import(plan.to_string().as_bytes())
        .unwrap_err()
        .into_iter()
        .map(|fault| (fault.field, fault.rule))
        .collect()
}

#[test]
fn an_editors_export_is_imported_as_it_is() {
    let plan = import(exported().to_string().as_bytes()).unwrap();
    assert_eq!(plan.size(), (800.0, 600.0));
    let grades: Vec<_> = plan.grades().iter().map(Grade::as_str).collect();
    assert_eq!(grades, ["VIP", "R석"]);
    assert_eq!(plan.sections(), ["Floor", ""]);
    let seats: Vec<_> = plan
        .seats()
        .iter()
        .map(|seat| (seat.guid.as_str(), seat.row, seat.grade, seat.x, seat.y))
        .collect();
    assert_eq!(
        seats,
        [
            ("f-a-1", 0, 1, 110.0, 50.0),
            ("f-a-2", 0, 0, 130.5, 51.0),
            ("b-1", 1, 1, -5.0, 300.0),
        ]
    );
}

#[test]
fn every_seat_gets_an_id_of_its_own() {
    let plan = import(exported().to_string().as_bytes()).unwrap();
    assert_ne!(plan.seats()[0].seat_id, plan.seats()[1].seat_id);
    assert_eq!(plan.seats()[0].seat_id.as_uuid().get_version_num(), 7);
}

const SEAT: &str = "/zones/0/rows/0/seats/1";

#[rstest]
#[case::no_guid("", "seat_guid", Value::Null, "plan.zones[0].rows[0].seats[1].seat_guid")]
#[case::a_number_as_guid("", "seat_guid", json!(7), "plan.zones[0].rows[0].seats[1].seat_guid")]
#[case::an_empty_guid("", "seat_guid", json!(""), "plan.zones[0].rows[0].seats[1].seat_guid")]
#[case::a_long_guid("", "seat_guid", json!("g".repeat(256)), "plan.zones[0].rows[0].seats[1].seat_guid")]
#[case::an_unknown_category("", "category", json!("Gold"), "plan.zones[0].rows[0].seats[1].category")]
#[case::a_list_as_category("", "category", json!(["VIP"]), "plan.zones[0].rows[0].seats[1].category")]
#[case::an_endless_label("", "seat_number", json!("1".repeat(65)), "plan.zones[0].rows[0].seats[1].seat_number")]
#[case::an_invisible_label("", "seat_number", json!("1\u{0}"), "plan.zones[0].rows[0].seats[1].seat_number")]
#[case::text_as_position("", "position", json!("left"), "plan.zones[0].rows[0].seats[1].position")]
#[case::text_as_x("/position", "x", json!("left"), "plan.zones[0].rows[0].seats[1].position.x")]
#[case::a_position_far_away("/position", "y", json!(1e300), "plan.zones[0].rows[0].seats[1].position.y")]
fn a_wrong_seat_is_refused_with_its_path(
    #[case] below: &str,
    #[case] key: &str,
    #[case] value: Value,
    #[case] path: &str,
) {
    let mut plan = exported();
    plan.pointer_mut(&format!("{SEAT}{below}")).unwrap()[key] = value;
    let faults = faults_of(&plan);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].0, path, "{faults:?}");
}

#[rstest]
#[case::zones("", "zones", "plan.zones")]
#[case::categories("", "categories", "plan.categories")]
#[case::width("/size", "width", "plan.size.width")]
#[case::category_name("/categories/0", "name", "plan.categories[0].name")]
#[case::rows("/zones/0", "rows", "plan.zones[0].rows")]
#[case::zone_position("/zones/1", "position", "plan.zones[1].position")]
#[case::seats("/zones/0/rows/0", "seats", "plan.zones[0].rows[0].seats")]
#[case::row_number("/zones/0/rows/0", "row_number", "plan.zones[0].rows[0].row_number")]
#[case::seat_position(SEAT, "position", "plan.zones[0].rows[0].seats[1].position")]
#[case::y(
    "/zones/0/rows/0/seats/1/position",
    "y",
    "plan.zones[0].rows[0].seats[1].position.y"
)]
fn a_missing_key_is_named(#[case] pointer: &str, #[case] key: &str, #[case] path: &str) {
    let mut plan = exported();
    let object = plan.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
    object.remove(key).unwrap();
    assert_eq!(faults_of(&plan), [(path.to_owned(), "is required".to_owned())]);
}

#[test]
fn a_repeated_guid_names_where_it_stood_first() {
    let mut plan = exported();
    plan["zones"][1]["rows"][0]["seats"][0]["seat_guid"] = json!("f-a-1");
    assert_eq!(
        faults_of(&plan),
        [(
            "plan.zones[1].rows[0].seats[0].seat_guid".to_owned(),
            "stands twice; first at plan.zones[0].rows[0].seats[0].seat_guid".to_owned(),
        )]
    );
}

#[test]
fn several_faults_are_named_at_once_but_not_without_end() {
    let mut plan = exported();
    plan["zones"][0]["rows"][0]["seats"][0]["category"] = json!("Gold");
    plan["zones"][1]["rows"][0]["seats"][0]["seat_guid"] = json!("f-a-2");
    assert_eq!(faults_of(&plan).len(), 2);
    plan["zones"][0]["rows"][0]["seats"] = vec![plan["zones"][0]["rows"][0]["seats"][0].clone(); 50].into();
    assert_eq!(faults_of(&plan).len(), MAX_FAULTS);
}

#[test]
fn a_used_category_must_be_a_grade() {
    let mut plan = exported();
    let name = plan["categories"][1]["name"].clone();
    plan["zones"][0]["rows"][0]["seats"][0]["category"] = name;
    assert_eq!(
        faults_of(&plan),
        [(
            "plan.categories[1].name".to_owned(),
            "must be at most 64 characters".to_owned()
        )]
    );
}

#[test]
fn a_plan_without_seats_is_refused() {
    for zones in [json!([]), json!([{"position": {"x": 0, "y": 0}, "rows": []}])] {
        let plan = json!({"zones": zones, "categories": [{"name": "A"}]});
        assert_eq!(
            faults_of(&plan),
            [("plan.zones".to_owned(), "must have at least one seat".to_owned())]
        );
    }
}

#[test]
fn broken_json_is_refused_with_line_and_column() {
    for (json, path, place) in [
        ("", "plan", "line 1 column 0"),
        ("{", "plan", "line 1 column 1"),
        ("[1]", "plan", "line 1"),
        (
            "{\"zones\": [],\n \"categories\": []} x",
            "plan",
            "line 2 column 20",
        ),
        (
            "{\"zones\": [\n{\"position\": {\"x\": 1e999",
            "plan.zones[0].position.x",
            "line 2",
        ),
        (
            "{\"zones\": [],\n \"categories\": [}",
            "plan.categories",
            "line 2 column 17",
        ),
    ] {
        let faults = import(json.as_bytes()).unwrap_err();
        assert!(faults[0].field.starts_with(path), "{json}: {faults:?}");
        assert!(faults[0].rule.contains(place), "{json}: {faults:?}");
    }
}

#[test]
fn a_refusal_does_not_quote_at_length() {
    let faults = faults_of(&json!({"zones": "z".repeat(10_000), "categories": []}));
    assert!(faults[0].1.len() < 300, "{}", faults[0].1.len());
    assert!(faults[0].1.contains("line 1 column "), "{}", faults[0].1);
}

fn hall_of(seats: usize) -> Value {
    let row: Vec<_> = (0..seats)
        .map(|n| json!({"seat_guid": n.to_string(), "seat_number": "1", "category": "A", "position": {"x": n, "y": 0}}))
        .collect();
    json!({"zones": [{"position": {"x": 0, "y": 0}, "rows": [{"row_number": "1", "seats": row}]}],
           "categories": [{"name": "A"}]})
}

#[test]
fn a_hundred_thousand_seats_are_the_most() {
    let plan = import(hall_of(MAX_SEATS).to_string().as_bytes()).unwrap();
    assert_eq!(plan.seats().len(), MAX_SEATS);
    assert_eq!(
        faults_of(&hall_of(MAX_SEATS + 1)),
        [(
            "plan.zones[0].rows[0].seats[100000]".to_owned(),
            "is one too many: a plan has at most 100000 seats".to_owned()
        )]
    );
}

#[test]
fn a_thousand_grades_are_the_most() {
    let mut plan = hall_of(MAX_GRADES + 1);
    plan["categories"] = (0..=MAX_GRADES).map(|n| json!({"name": n.to_string()})).collect();
    for n in 0..=MAX_GRADES {
        plan["zones"][0]["rows"][0]["seats"][n]["category"] = json!(n.to_string());
    }
    assert_eq!(
        faults_of(&plan),
        [(
            "plan.categories[1000].name".to_owned(),
            "is one too many: seats use at most 1000 categories".to_owned()
        )]
    );
    plan["zones"][0]["rows"][0]["seats"].as_array_mut().unwrap().pop();
    assert_eq!(
        import(plan.to_string().as_bytes()).unwrap().grades().len(),
        MAX_GRADES
    );
}

#[test]
fn a_plan_survives_its_store() {
    let plan = import(exported().to_string().as_bytes()).unwrap();
    let stored = serde_json::to_vec(&plan).unwrap();
    assert_eq!(serde_json::from_slice::<SeatPlan>(&stored).unwrap(), plan);
}

proptest! {
    #[test]
    fn damaged_text_is_refused_or_read_but_never_a_panic(at in 0_usize..1_500, byte: u8) {
        let mut json = exported().to_string().into_bytes();
        let length = json.len();
        json[at % length] = byte;
        if let Ok(plan) = import(&json) {
            prop_assert!(plan.seats().iter().all(|seat| (seat.row as usize) < plan.rows().len()
                && (seat.grade as usize) < plan.grades().len() && seat.x.is_finite() && seat.y.is_finite()));
        }
    }
}
