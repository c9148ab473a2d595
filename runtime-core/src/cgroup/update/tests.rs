//! Updates for hosts of both versions.

use std::path::Path;

use serde_json::json;

use super::super::{V1, V2};
use super::*;

fn hosts() -> [Hierarchies; 2] {
    let names = ["cpu", "cpuset", "memory", "pids", "blkio", "io", "hugetlb"];
    let v1 = |name: &&str| V1 {
        controllers: vec![name.to_string()],
        mount: Path::new("/c").join(name),
        root: "/".into(),
        own: "/".into(),
    };
    let controllers = names.iter().map(|name| name.to_string()).collect();
    let v2 = V2 { mount: "/c".into(), root: "/".into(), own: "/".into(), controllers };
    [
        Hierarchies { v1: names.iter().map(v1).collect(), v2: None, ..Hierarchies::default() },
        Hierarchies { v1: Vec::new(), v2: Some(v2), ..Hierarchies::default() },
    ]
}

fn planned(host: &Hierarchies, saved: Value, given: Value) -> Result<Update> {
    plan_update(&resources(saved).unwrap(), &resources(given).unwrap(), host)
}

/// The files that are written, with version 1 and with version 2.
fn written(saved: Value, given: Value) -> [String; 2] {
    hosts().map(|host| {
        let update = planned(&host, saved.clone(), given.clone()).unwrap();
        update.knobs.iter().map(|(_, knob)| knob.to_string()).collect::<Vec<_>>().join(", ")
    })
}

fn kept(saved: Value, given: Value) -> Value {
    let [host, _] = hosts();
    document(&planned(&host, saved, given).unwrap().resources).unwrap()
}

#[test]
fn only_what_is_given_is_written() {
    let saved =
        json!({"memory": {"limit": 9, "swap": 10}, "pids": {"limit": 3}, "cpu": {"shares": 7, "cpus": "0"}});
    assert_eq!(written(saved.clone(), json!({})), ["", ""]);
    assert_eq!(written(saved.clone(), json!({"pids": {"limit": 0}})), ["pids.max = 0", "pids.max = 0"]);
    assert_eq!(
        written(saved, json!({"memory": {"limit": 8}})),
        ["memory.limit_in_bytes = 8", "memory.max = 8"]
    );
}

#[test]
fn zeros_of_engines_mean_nothing() {
    let zeros = json!({
        "memory": {"limit": 0, "reservation": 0, "swap": 0},
        "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""},
        "blockIO": {"weight": 0},
    });
    assert_eq!(written(json!({"memory": {"limit": 9}}), zeros.clone()), ["", ""]);
    let kept = kept(json!({"memory": {"limit": 9}, "cpu": {"cpus": "0"}}), zeros);
    assert_eq!((&kept["memory"]["limit"], &kept["cpu"]["cpus"]), (&json!(9), &json!("0")));
}

#[test]
fn idle_and_burst_can_be_set_back_to_zero() {
    let [v1, v2] = written(json!({"cpu": {"idle": 1, "burst": 5}}), json!({"cpu": {"idle": 0, "burst": 0}}));
    assert_eq!(
        (v1.as_str(), v2.as_str()),
        ("cpu.idle = 0, cpu.cfs_burst_us = 0", "cpu.idle = 0, cpu.max.burst = 0")
    );
}

#[test]
fn quota_and_period_complete_each_other() {
    let saved = json!({"cpu": {"quota": 20_000, "period": 50_000}});
    let [v1, v2] = written(saved.clone(), json!({"cpu": {"quota": 10_000}}));
    assert_eq!(
        (v1.as_str(), v2.as_str()),
        ("cpu.cfs_period_us = 50000, cpu.cfs_quota_us = 10000", "cpu.max = 10000 50000")
    );
    let [_, v2] = written(saved, json!({"cpu": {"period": 40_000}}));
    assert_eq!(v2, "cpu.max = 20000 40000");
    let [v1, v2] = written(json!({}), json!({"cpu": {"quota": -1}}));
    assert_eq!((v1.as_str(), v2.as_str()), ("cpu.cfs_quota_us = -1", "cpu.max = max 100000"));
}

#[test]
fn swap_is_counted_with_the_limit_that_is_saved() {
    let saved = json!({"memory": {"limit": 100}});
    let [_, v2] = written(saved.clone(), json!({"memory": {"swap": 150}}));
    assert_eq!(v2, "memory.swap.max = 50, memory.max = 100");
    let [_, v2] = written(saved.clone(), json!({"memory": {"limit": 120, "swap": 150}}));
    assert_eq!(v2, "memory.swap.max = 30, memory.max = 120");
    for host in hosts() {
        let refused = planned(&host, json!({}), json!({"memory": {"swap": 150}})).unwrap_err().to_string();
        assert!(refused.contains("unable to set swap limit without memory limit"), "{refused}");
    }
    let [v1, v2] = written(saved.clone(), json!({"memory": {"limit": -1}}));
    assert_eq!(v1, "memory.limit_in_bytes = -1, memory.memsw.limit_in_bytes = -1");
    assert_eq!(v2, "memory.swap.max = max, memory.max = max");
    assert_eq!(kept(saved, json!({"memory": {"limit": -1}}))["memory"]["swap"], json!(-1));
}

#[test]
fn an_idle_container_has_no_shares() {
    let saved = json!({"cpu": {"shares": 512}});
    let [v1, _] = written(saved.clone(), json!({"cpu": {"idle": 1, "shares": 100}}));
    assert_eq!(v1, "cpu.idle = 1");
    let kept = kept(saved, json!({"cpu": {"idle": 1}}));
    assert_eq!(kept["cpu"], json!({"idle": 1}));
}

#[test]
fn devices_neither_change_nor_are_lost() {
    let saved = json!({"devices": [{"allow": false, "access": "rwm"}]});
    let given = json!({"devices": [{"allow": true}], "pids": {"limit": 5}});
    assert_eq!(written(saved.clone(), given.clone()), ["pids.max = 5", "pids.max = 5"]);
    assert_eq!(kept(saved.clone(), given)["devices"], saved["devices"]);
    assert!(kept(json!({}), json!({"devices": [{"allow": true}]})).get("devices").is_none());
}

#[test]
fn lists_are_merged_by_what_their_elements_are_about() {
    let rate = |minor: i64, rate: u64| json!({"major": 8, "minor": minor, "rate": rate});
    let saved = json!({"blockIO": {"throttleReadBpsDevice": [rate(0, 1), rate(1, 2)]},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 1}]});
    let given = json!({"blockIO": {"throttleReadBpsDevice": [rate(1, 5), rate(2, 6)]},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 2}, {"pageSize": "1GB", "limit": 3}]});
    let kept = kept(saved, given);
    assert_eq!(kept["blockIO"]["throttleReadBpsDevice"], json!([rate(0, 1), rate(1, 5), rate(2, 6)]));
    let pages = json!([{"pageSize": "2MB", "limit": 2}, {"pageSize": "1GB", "limit": 3}]);
    assert_eq!(kept["hugepageLimits"], pages);
}

#[test]
fn usage_is_checked_where_it_was_asked_for_and_only_for_a_new_limit() {
    let [_, host] = hosts();
    let check = |saved: Value, given: Value| planned(&host, saved, given).unwrap().at_most;
    assert_eq!(check(json!({}), json!({"memory": {"limit": 5}})), None);
    assert_eq!(check(json!({}), json!({"memory": {"limit": 5, "checkBeforeUpdate": true}})), Some(5));
    let careful = json!({"memory": {"checkBeforeUpdate": true, "limit": 9}});
    assert_eq!(check(careful.clone(), json!({"memory": {"limit": 5}})), Some(5));
    assert_eq!(check(careful.clone(), json!({"memory": {"limit": -1}})), None);
    assert_eq!(check(careful, json!({"pids": {"limit": 5}})), None);
}
